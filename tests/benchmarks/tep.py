"""The Tennessee Eastman process: faults 1, 2, 4 and 5, learned from the normal run alone.

The false-alarm rate is measured, on the rows before each fault. Contributions are averaged over the
rows in alarm and compared with the variables that the fault is known to act on; what the first
hour of alarm alone names, while the upset still travels through the plant, stands beside it.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.arrays import FloatArray
from analytics.scoring.segments import score_samples
from analytics.signals.monitor_fit import fit_monitor
from analytics.signals.projection import ranked
from tests.benchmarks.common import report
from tests.benchmarks.detection_data import read_tep

FAULT_ROW: Final = 160
ROWS_LOOKED_AT: Final = 20
"""An hour at three minutes a row."""

CAUSES: Final = {
    # Downs and Vogel 1993, table 8, with the loops that answer: variables as XMEAS 1-41, XMV 42-52.
    1: {1, 4, 44, 45, 18, 19, 50},  # A/C feed ratio: A feed, A and C feed, their valves, stripper
    2: {10, 47, 28, 34},  # B in the feed: purge rate and valve, compositions of the purge
    4: {51, 9},  # reactor cooling water: its valve, reactor temperature
    5: {52, 11, 22, 17},  # condenser cooling water: its valve, separator
}


def _largest_three(shares: FloatArray) -> list[int]:
    """Variables with the largest mean shares, numbered from 1."""
    return [int(place) + 1 for place in ranked(shares.mean(axis=0))[:3]]


def run(data: Path) -> dict[str, Any]:
    """Learn from the normal run and judge each fault."""
    folder = data / "tep"
    monitor = fit_monitor(read_tep(folder / "d00.dat"))
    figures: dict[str, float] = {}
    truths, alarms, named, named_at_once = [], [], [], []
    for fault, causes in CAUSES.items():
        scores = monitor.score(read_tep(folder / f"d{fault:02}_te.dat"))
        is_fault = np.arange(scores.score.size) >= FAULT_ROW
        found = score_samples(is_fault, scores.is_alarm)
        figures[f"fault_{fault}_detected_ratio"] = round(1 - found.missed_ratio, 4)
        figures[f"fault_{fault}_false_alarm_ratio"] = round(found.false_alarm_ratio, 4)
        rows = np.flatnonzero(scores.is_alarm & is_fault)
        shares = monitor.contributions(scores.smoothed[rows])
        first_three = _largest_three(shares)
        is_named = bool(causes & set(first_three))
        named.append(is_named)
        named_at_once.append(bool(causes & set(_largest_three(shares[:ROWS_LOOKED_AT]))))
        truths.append(is_fault)
        alarms.append(scores.is_alarm)
        print(
            f"fault {fault}: {1 - found.missed_ratio:6.1%} of faulty rows, "
            f"{found.false_alarm_ratio:5.1%} false; first variables {first_three}"
            f" ({'as known' if is_named else 'others than known'})"
        )
    pooled = score_samples(np.concatenate(truths), np.concatenate(alarms))
    figures |= {
        "detected_ratio": round(1 - pooled.missed_ratio, 4),
        "false_alarm_ratio": round(pooled.false_alarm_ratio, 4),
        "least_detected_ratio": min(figures[f"fault_{one}_detected_ratio"] for one in CAUSES),
        "causes_named_ratio": sum(named) / len(named),
        "causes_named_in_first_hour_ratio": sum(named_at_once) / len(named),
    }
    print(f"all: {figures['detected_ratio']:.1%} detected, {pooled.false_alarm_ratio:.2%} false")
    return report(
        "tep",
        figures,
        targets=[
            ("detected_ratio", ">=", 0.95),
            ("false_alarm_ratio", "<=", 0.02),
            ("causes_named_ratio", ">=", 1.0),
        ],
    )
