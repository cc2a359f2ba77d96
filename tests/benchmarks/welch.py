"""Power spectral densities of many channels, against `scipy.signal.welch`."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import signal

from analytics.signals.spectra import welch
from tests.benchmarks.common import cpu_s, report

N_CHANNELS: Final = 1600
N_SAMPLES: Final = 8192
SEGMENT: Final = 1024
RATE_HZ: Final = 25_600.0


def run(data: Path) -> dict[str, Any]:
    """Measure; needs no real data."""
    x = np.random.default_rng(1).standard_normal((N_CHANNELS, N_SAMPLES), np.float32)
    ours_s = cpu_s(lambda: welch(x, RATE_HZ, segment=SEGMENT))
    theirs_s = cpu_s(lambda: signal.welch(x, RATE_HZ, nperseg=SEGMENT), n_repeats=3)
    exact = signal.welch(x[:200].astype(np.float64), RATE_HZ, nperseg=SEGMENT)[1]
    ours = welch(x[:200], RATE_HZ, segment=SEGMENT)[1]
    figures = {
        "million_values_per_cpu_s": round(x.size / ours_s / 1e6, 1),
        "largest_relative_difference": float(np.abs(ours / exact - 1).max()),
    }
    against = {"scipy_million_values_per_cpu_s": round(x.size / theirs_s / 1e6, 1)}
    ratios = {"times_faster_than_scipy": round(theirs_s / ours_s, 2)}
    for name, value in (figures | against | ratios).items():
        print(f"  {name:40} {value:12.4g}")
    return report(
        "welch",
        figures,
        against=against,
        ratios=ratios,
        targets=[
            ("times_faster_than_scipy", ">=", 6.0),
            ("largest_relative_difference", "<=", 1e-6),
        ],
    )
