"""Scenarios: which machines a plant has, what becomes of them, and what goes wrong around them.

A scenario is a TOML file. Those of this folder can be named without path or ending, and
``staybolt-sim list scenarios`` shows them; ``demo.toml`` explains every option there is.
"""
