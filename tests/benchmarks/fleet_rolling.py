"""Rolling mean and standard deviation of a fleet, against a copy and other libraries."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.signals.rolling import rolling_mean_std
from tests.benchmarks.common import cpu_s, report
from tests.benchmarks.peers import peer

N_TIMES: Final = 720
N_SERIES: Final = 16_000
N_PEER_SERIES: Final = 1_000
WINDOW: Final = 60


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    block = _block(N_SERIES)
    gaps = block.copy()
    gaps[np.random.default_rng(3).random(gaps.shape, np.float32) < 0.02] = np.nan
    out = (np.ones_like(block), np.ones_like(block))
    copy_s = cpu_s(lambda: np.copyto(out[0], block))
    ours_s = cpu_s(lambda: rolling_mean_std(block, WINDOW, out=out), n_repeats=3)
    gaps_s = cpu_s(lambda: rolling_mean_std(gaps, WINDOW, out=out), n_repeats=3)
    part = np.ascontiguousarray(block[:, :N_PEER_SERIES])
    pandas_s, difference = _pandas_s(part)
    peers_s = {"pandas": pandas_s, "polars": _polars_s(part)}
    rate = block.size / ours_s
    peer_rates = {name: part.size / took for name, took in peers_s.items()}
    figures = {
        "million_values_per_cpu_s": round(rate / 1e6, 1),
        "million_values_per_cpu_s_with_gaps": round(block.size / gaps_s / 1e6, 1),
        "largest_difference_from_pandas": difference,
    }
    against = {
        "copy_million_values_per_cpu_s": round(block.size / copy_s / 1e6, 1),
        **{f"{name}_million_values_per_cpu_s": round(r / 1e6, 1) for name, r in peer_rates.items()},
    }
    ratios = {
        "part_of_copy_bandwidth": round(copy_s / ours_s, 3),
        **{f"times_faster_than_{name}": round(rate / r, 1) for name, r in peer_rates.items()},
    }
    print(f"rolling mean and std, window {WINDOW}, {N_SERIES} series x {N_TIMES}, float32:")
    for name, value in (figures | against | ratios).items():
        print(f"  {name:44} {value:12.4g}")
    return report(
        "fleet_rolling",
        figures,
        against=against,
        ratios=ratios,
        targets=[
            ("part_of_copy_bandwidth", ">=", 0.25),
            ("times_faster_than_polars", ">=", 5.0),
            ("times_faster_than_pandas", ">=", 5.0),
        ],
    )


def _block(n_series: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(1)
    return 80 + rng.standard_normal((N_TIMES, n_series), np.float32)


def _pandas_s(part: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[float, float]:
    frame = peer("pandas").DataFrame(part)

    def work() -> tuple[Any, Any]:
        rolling = frame.rolling(WINDOW, min_periods=2)
        return rolling.mean(), rolling.std(ddof=0)

    took = cpu_s(work, n_repeats=2)
    theirs = [one.to_numpy()[1:] for one in work()]
    ours = [one[1:] for one in rolling_mean_std(part, WINDOW)]
    return took, max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def _polars_s(part: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    polars = peer("polars")
    frame = polars.DataFrame({f"s{place}": part[:, place] for place in range(part.shape[1])})
    columns = polars.all()
    wanted = [
        columns.rolling_mean(WINDOW).name.suffix("_mean"),
        columns.rolling_std(WINDOW).name.suffix("_std"),
    ]
    return cpu_s(lambda: frame.select(wanted), n_repeats=2)
