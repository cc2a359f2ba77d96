"""What the monitor would have said: learned from healthy rows of each file, judged on the rest."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.arrays import BoolArray
from analytics.health.explanations import SignalReason, reasons
from analytics.scoring.ranking import auc_pr
from analytics.scoring.segments import (
    EventScores,
    add_events,
    range_f1,
    score_events,
    score_samples,
)
from analytics.signals.baseline import present_median
from analytics.signals.monitor import Monitor, MonitorScores
from analytics.signals.monitor_fit import fit_monitor
from api.health.backtest_data import DataFile, Mapping
from ingest.telemetry import unit_of


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """What was said of one file.

    Parameters
    ----------
    file : DataFile
        The samples.
    n_healthy : int
        Rows learned from.
    scores : MonitorScores
        Of the rows after them.
    events : EventScores or None
        Held against the truth, if there is one.
    why : tuple of SignalReason
        Signals to blame while in alarm, the first to look at first; empty without an alarm. Of a
        signal that wanders, the usual is its usual distance from its own level.
    """

    file: DataFile
    n_healthy: int
    scores: MonitorScores
    events: EventScores | None
    why: tuple[SignalReason, ...]


def backtest(mapping: Mapping, file: DataFile) -> Backtest:
    """Learn from the healthy rows of a file and judge the rest.

    Parameters
    ----------
    mapping : Mapping
        With the settings.
    file : DataFile
        The samples.

    Returns
    -------
    Backtest
        What was said.
    """
    n_healthy = mapping.data.healthy_rows
    monitor = fit_monitor(file.values[:n_healthy], mapping.settings())
    scores = monitor.score(file.values[n_healthy:])
    why = _reasons(monitor, file, n_healthy, scores) if scores.is_alarm.any() else ()
    events = None
    if file.is_anomaly is not None:
        rest = file.time_h[n_healthy:]
        events = score_events(file.is_anomaly[n_healthy:], scores.is_alarm, rest)
    return Backtest(file, n_healthy, scores, events, why)


def _reasons(
    monitor: Monitor, file: DataFile, n_healthy: int, scores: MonitorScores
) -> tuple[SignalReason, ...]:
    """Say which signals make the alarms, by what they show and what they showed while healthy."""
    rows = scores.is_alarm
    shares = monitor.contributions(scores.smoothed[rows]).mean(axis=0)
    units = [unit_of(signal) or "" for signal in file.signals]
    return tuple(
        reasons(
            file.signals,
            ["" if unit == "1" else unit for unit in units],
            present_median(file.values[n_healthy:][rows]),
            present_median(file.values[:n_healthy]),
            present_median(scores.smoothed[rows]),
            shares,
        )
    )


def summary(found: list[Backtest]) -> dict[str, Any]:
    """Add up what was found in all files.

    Parameters
    ----------
    found : list of Backtest
        Of every file.

    Returns
    -------
    dict
        Figures by name; those that need a truth only where there is one.
    """
    figures: dict[str, Any] = {
        "n_files": len(found),
        "n_rows_judged": sum(one.scores.score.size for one in found),
        "in_alarm_ratio": _share(np.concatenate([one.scores.is_alarm for one in found])),
        "n_cells_not_numbers": sum(one.file.n_not_numbers for one in found),
    }
    told = [(one, one.file.is_anomaly, one.events) for one in found]
    pairs = [
        (truth[one.n_healthy :], one.scores, events)
        for one, truth, events in told
        if truth is not None and events is not None
    ]
    if not pairs:
        return figures
    truth = np.concatenate([pair[0] for pair in pairs])
    alarm = np.concatenate([pair[1].is_alarm for pair in pairs])
    score = np.nan_to_num(np.concatenate([pair[1].score for pair in pairs]))
    samples, events = score_samples(truth, alarm), add_events([pair[2] for pair in pairs])
    figures |= {
        "n_anomalies": events.n_events,
        "n_found": events.n_found,
        "n_false_alarms": events.n_false,
        "false_alarms_per_machine_month": events.false_per_month,
        "median_delay_h": events.median_delay_h,
        "f1": samples.f1,
        "range_f1": range_f1(truth, alarm),
        "false_alarm_ratio": samples.false_alarm_ratio,
        "missed_ratio": samples.missed_ratio,
    }
    if truth.any() and not truth.all():
        figures["auc_pr"] = auc_pr(truth, score)
        figures["always_alarm_f1"] = score_samples(truth, np.ones_like(truth)).f1
    return figures


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if flags.size else 0.0
