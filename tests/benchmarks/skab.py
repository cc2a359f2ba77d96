"""Faults of a pump's valves (SKAB): every experiment learned from its first 400 rows alone.

The published split: the rest of each experiment is judged, and the counts of all are pooled. One
setting for all experiments; the limit comes from the training rows, no label is used. False alarms
and events stand beside the F1, because an alarm that always stands reaches 0.70 here.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.scoring.segments import add_events, range_f1, score_events, score_samples
from analytics.signals.monitor_fit import fit_monitor
from tests.benchmarks.common import report
from tests.benchmarks.detection_data import SKAB_TRAIN_ROWS, LabelledSeries, read_skab

PART: Final = "valve1"
MERGE_H: Final = 30 / 3600


def judge(experiment: LabelledSeries) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Alarms after the training rows."""
    monitor = fit_monitor(experiment.values[:SKAB_TRAIN_ROWS])
    return monitor.score(experiment.values[SKAB_TRAIN_ROWS:]).is_alarm


def run(data: Path) -> dict[str, Any]:
    """Learn and judge every experiment."""
    experiments = read_skab(data / "skab" / "data" / PART)
    alarms = [judge(one) for one in experiments]
    rest = slice(SKAB_TRAIN_ROWS, None)
    truths = [one.is_anomaly[rest] for one in experiments]
    pooled = score_samples(np.concatenate(truths), np.concatenate(alarms))
    events = add_events([
        score_events(truth, alarm, one.time_h[rest], merge_h=MERGE_H)
        for one, truth, alarm in zip(experiments, truths, alarms, strict=True)
    ])
    always = score_samples(np.concatenate(truths), np.ones(sum(t.size for t in truths), np.bool_))
    figures = {
        "pooled_f1": round(pooled.f1, 3),
        "false_alarm_ratio": round(pooled.false_alarm_ratio, 4),
        "missed_ratio": round(pooled.missed_ratio, 4),
        "range_f1": round(range_f1(np.concatenate(truths), np.concatenate(alarms)), 3),
        "n_events": events.n_events,
        "n_events_found": events.n_found,
        "n_false_alarms": events.n_false,
        "median_delay_s": round(3600 * events.median_delay_h, 1),
    }
    against = {
        "always_alarm_f1": round(always.f1, 3),
        "conv_ae_f1_all_parts": 0.78,
        "conv_ae_false_alarm_ratio_all_parts": 0.1355,
        "t2_and_q_f1_all_parts": 0.76,
        "t2_and_q_false_alarm_ratio_all_parts": 0.2662,
    }
    print(f"SKAB {PART}, {len(experiments)} experiments, one setting for all:")
    for name, value in (figures | against).items():
        print(f"  {name:40} {value:8.3f}")
    return report(
        "skab",
        figures,
        against=against,
        targets=[("pooled_f1", ">=", 0.80), ("false_alarm_ratio", "<=", 0.14)],
    )
