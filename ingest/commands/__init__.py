"""The commands of ``staybolt-ingest``: one module for each.

Each has ``add_to``, which adds its parser and sets ``act``, what the command does with its options.
"""
