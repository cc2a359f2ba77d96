"""Slow, obvious versions of every vectorised function."""
