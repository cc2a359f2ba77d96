"""The whole chain on one machine, from one command."""
