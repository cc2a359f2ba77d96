"""Plays machines on the clock, over real protocols."""
