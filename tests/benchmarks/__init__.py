"""How fast, and how right, on real data: ``python -m tests.benchmarks NAME``.

Each module here with a function ``run(data)`` is a benchmark. It prints a short table for people
and returns one JSON object, see `tests.benchmarks.common.report`.
"""
