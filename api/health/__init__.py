"""Condition of machines: samples, anomaly, alarms, life left."""
