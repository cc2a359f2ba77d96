"""Customers: downtime exposure, first-time fix, risk of leaving, and why."""
