"""Sparkplug B 3.0 as an edge node speaks it."""
