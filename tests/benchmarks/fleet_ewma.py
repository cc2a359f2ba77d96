"""Exponentially weighted averages of a fleet, against a copy of the block and other libraries."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.signals.rolling import ewma
from tests.benchmarks.common import cpu_s, report
from tests.benchmarks.peers import peer

N_TIMES: Final = 360
N_SERIES: Final = 32_000
N_PEER_SERIES: Final = 1_000
ALPHA: Final = 0.1


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    rng = np.random.default_rng(1)
    block = 80 + rng.standard_normal((N_TIMES, N_SERIES), np.float32)
    gaps = block.copy()
    gaps[rng.random(gaps.shape, np.float32) < 0.02] = np.nan
    out = np.ones_like(block)
    copy_s = cpu_s(lambda: np.copyto(out, block))
    ours_s = cpu_s(lambda: ewma(block, ALPHA, out=out))
    gaps_s = cpu_s(lambda: ewma(gaps, ALPHA, out=out), n_repeats=3)
    part = np.ascontiguousarray(block[:, :N_PEER_SERIES])
    pandas_frame = peer("pandas").DataFrame(part)
    polars = peer("polars")
    polars_frame = polars.DataFrame({f"s{n}": part[:, n] for n in range(part.shape[1])})
    average = polars.all().ewm_mean(alpha=ALPHA, adjust=False)
    peers_s = {
        "pandas": cpu_s(lambda: pandas_frame.ewm(alpha=ALPHA, adjust=False).mean(), n_repeats=3),
        "polars": cpu_s(lambda: polars_frame.select(average), n_repeats=3),
    }
    theirs = pandas_frame.ewm(alpha=ALPHA, adjust=False).mean().to_numpy()
    rate = block.size / ours_s
    peer_rates = {name: part.size / took for name, took in peers_s.items()}
    figures = {
        "million_values_per_cpu_s": round(rate / 1e6, 1),
        "million_values_per_cpu_s_with_gaps": round(block.size / gaps_s / 1e6, 1),
        "largest_difference_from_pandas": float(np.abs(ewma(part, ALPHA) - theirs).max()),
    }
    against = {
        "copy_million_values_per_cpu_s": round(block.size / copy_s / 1e6, 1),
        **{f"{name}_million_values_per_cpu_s": round(r / 1e6, 1) for name, r in peer_rates.items()},
    }
    ratios = {
        "part_of_copy_bandwidth": round(copy_s / ours_s, 3),
        **{f"times_faster_than_{name}": round(rate / r, 1) for name, r in peer_rates.items()},
    }
    print(f"EWMA, {N_SERIES} series x {N_TIMES}, float32:")
    for name, value in (figures | against | ratios).items():
        print(f"  {name:44} {value:12.4g}")
    return report(
        "fleet_ewma",
        figures,
        against=against,
        ratios=ratios,
        targets=[
            ("part_of_copy_bandwidth", ">=", 0.45),
            ("times_faster_than_polars", ">=", 5.0),
            ("times_faster_than_pandas", ">=", 5.0),
        ],
    )
