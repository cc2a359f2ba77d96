"""Service proposals: which machine, why, by when, and what waiting costs."""
