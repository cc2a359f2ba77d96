"""How machines wear: laws of degradation, each with a true end."""
