"""Recorded real machines, played as live ones."""
