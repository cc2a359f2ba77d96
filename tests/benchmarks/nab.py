"""The Numenta benchmark's series, streamed: windows found, false alarms per month, NAB's score.

One setting for all series. Each is learned from its probationary rows, which the benchmark does not
score; its limit comes from extreme values of the score there (SPOT), never from labels. Alarms with
less than a window's pause between them are one.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.arrays import BoolArray, FloatArray
from analytics.scoring.nab_score import nab_part, nab_score, probation_rows
from analytics.scoring.segments import add_events, score_events
from analytics.signals.extremes import pot_threshold
from analytics.signals.shape_score import phase_view, shape_views
from tests.benchmarks.common import report
from tests.benchmarks.detection_data import LabelledSeries, read_nab

FALSE_ALARM_RATIO: Final = 1e-4
MARGIN: Final = 1.75
"""As in the monitor of many signals, whose value was chosen on anomaly-free data."""

LEAST_LIMIT: Final = 3.0
"""In usual spreads: a series without noise has no tail to extrapolate."""

MERGE_H: Final = 24.0


def alarms_of(one: LabelledSeries) -> BoolArray:
    """Rows in alarm, none within the probationary part."""
    x = one.values[:, 0]
    n_train = probation_rows(x.size)
    of_day = phase_view(x, one.time_h + one.begins_h, n_train)
    views = [*shape_views(x, n_train, is_causal=True), of_day]
    flags = np.zeros(x.size, np.bool_)
    for view in views:
        usual = view[:n_train]
        if not np.isfinite(usual).any():
            continue
        limit = pot_threshold(usual[np.isfinite(usual), np.newaxis], FALSE_ALARM_RATIO / len(views))
        flags |= view > MARGIN * max(float(limit[0]), LEAST_LIMIT)
    flags[:n_train] = False
    return flags


def _rising(time_h: FloatArray) -> FloatArray:
    """Some series repeat times: those follow each other by a microsecond."""
    return np.maximum.accumulate(time_h) + np.arange(time_h.size) / 3.6e9


def run(data: Path) -> dict[str, Any]:
    """Stream every series."""
    parts, scores = [], []
    for one in read_nab(data / "nab"):
        alarm = alarms_of(one)
        first = probation_rows(alarm.size)
        events = score_events(
            one.is_anomaly[first:], alarm[first:], _rising(one.time_h[first:]), merge_h=MERGE_H
        )
        onset = alarm & ~np.append(False, alarm[:-1])
        scores.append(nab_part(onset, one.windows))
        parts.append(events)
        print(f"  {one.name:48} {events.n_found} of {events.n_events}, {events.n_false} false")
    total = add_events(parts)
    figures = {
        "n_windows": total.n_events,
        "found_ratio": round(total.found_ratio, 3),
        "false_alarms_per_series_month": round(total.false_per_month, 3),
        "nab_standard_score": round(nab_score(scores), 1),
    }
    against = {
        "artime_false_alarms_per_series_month": 3.66,
        "artime_found_ratio": round(106 / 116, 3),
        "numenta_htm_found_ratio": round(96 / 116, 3),
        "numenta_htm_false_alarms_per_series_month": 2.67,
    }
    for name, value in figures.items():
        print(f"  {name:40} {value:8.3f}")
    return report(
        "nab",
        figures,
        against=against,
        targets=[("found_ratio", ">=", 0.80), ("false_alarms_per_series_month", "<=", 1.0)],
    )
