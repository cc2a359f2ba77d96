"""The commands of ``staybolt-edge``: one module each, with its options and what it does.

Every module has ``add_to(commands)``, which adds its parser and sets ``act`` to a function that
takes the parsed options, does the work and returns the exit code.
"""
