"""One machine answers: why is it flagged, and how long has it left."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from api.health.schemas import AlarmReading, HealthReading, LatestValue, MachineDetail
from api.planning.schemas import ProposalReading
from api.web.drawings import Plot, plot
from api.web.fleet import STALE_AFTER, is_stale
from api.web.language import Speech
from api.web.rendering import render

DAY_H: Final = 24.0
WIDEST_Z: Final = 10.0
"""Bars of distance from healthy end here; farther is simply far."""

Window = tuple[datetime | None, datetime | None]


def machine_page(
    speech: Speech,
    path: str,
    machine: MachineDetail,
    alarms: Sequence[AlarmReading],
    proposal: ProposalReading | None,
    window: Window,
) -> str:
    """Render one machine.

    Parameters
    ----------
    speech : Speech
        The language.
    path : str
        Where the page is.
    machine : MachineDetail
        The machine.
    alarms : sequence of AlarmReading
        All of its alarms, newest first.
    proposal : ProposalReading or None
        Its newest proposal.
    window : tuple of datetime or None
        What the charts show first; the newest days unless told.

    Returns
    -------
    str
        HTML.
    """
    spans = [
        (
            alarm.raised_at.timestamp(),
            None if alarm.cleared_at is None else alarm.cleared_at.timestamp(),
        )
        for alarm in alarms
    ]
    return render(
        "machine.html",
        speech,
        path,
        here="fleet",
        machine=machine,
        signals=sorted(machine.signals, key=_most_abnormal_first),
        alarms=alarms,
        alarm_spans=json.dumps(spans),
        proposal=proposal if proposal is not None and proposal.is_open else None,
        waiting=None if proposal is None else waiting_plot(speech, proposal),
        survival=survival_plot(speech, machine.health),
        window=[None if end is None else end.timestamp() for end in window],
        is_stale=is_stale(machine.newest_sample_at, speech.now),
        stale_after_s=STALE_AFTER.total_seconds(),
        widest_z=WIDEST_Z,
    )


def survival_plot(speech: Speech, health: HealthReading | None) -> Plot | None:
    """Lay out the probability that a machine still runs, by day.

    Parameters
    ----------
    speech : Speech
        The language of the ticks.
    health : HealthReading or None
        With its survival.

    Returns
    -------
    Plot or None
        None where nothing is known.
    """
    if health is None:
        return None
    life = health.remaining_useful_life
    points = [(p.ahead_h / DAY_H, p.survival_probability) for p in health.survival]
    # Past the day when hardly any still runs there is nothing left to read.
    alive = [place for place, (_, running) in enumerate(points) if running > 0.01]
    points = points[: alive[-1] + 2] if alive else points[:2]
    has_life = life.lower_h is not None and life.upper_h is not None
    return plot(
        [day for day, _ in points],
        [running for _, running in points],
        highest_y=1.0,
        y_text=speech.percent,
        x_text=lambda day: speech.number(day, 0 if day == round(day) else 1),
        marked_x=None if life.median_h is None else life.median_h / DAY_H,
        band=((life.lower_h or 0.0) / DAY_H, (life.upper_h or 0.0) / DAY_H) if has_life else None,
    )


def waiting_plot(speech: Speech, proposal: ProposalReading) -> Plot | None:
    """Lay out what going later costs, by day.

    Parameters
    ----------
    speech : Speech
        The language of the ticks.
    proposal : ProposalReading
        With its cost of waiting.

    Returns
    -------
    Plot or None
        None where there is no cost.
    """
    currency = proposal.failure_cost.currency
    return plot(
        [float(point.day) for point in proposal.waiting_cost],
        [point.extra_cost for point in proposal.waiting_cost],
        y_text=lambda amount: speech.money_short(amount, currency),
        x_text=speech.number,
        marked_x=float(proposal.best_day),
    )


def _most_abnormal_first(value: LatestValue) -> tuple[float, str]:
    return (-abs(value.robust_z or 0.0), value.signal)
