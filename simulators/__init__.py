"""What would a real machine, technician or customer have done? Shares no code with the estimators."""
