"""What a fleet's signals do: time grids, moving averages, baselines, and what is unusual.

Arrays are on one even time grid, time axis first and machine axis last. A missing sample is
``nan``; ``inf`` counts as missing too. Each function says what it does with gaps.
"""
