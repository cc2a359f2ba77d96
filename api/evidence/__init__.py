"""Where a number came from, step by step down to samples and visits."""
