"""What a real machine, technician or customer would have done.

Shares no code with the estimators, so the two cannot make the same mistake.
"""
