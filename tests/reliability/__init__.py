"""Harnesses that try to make the agent lose something; their oracle knows none of its keys."""
