"""From alarm flags at every step to alarm facts: raised once, cleared once, whatever comes late.

The samples are the truth: each round finds the episodes anew and brings the facts into line with
them. A restart of the server or a late batch raises nothing twice.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from analytics.arrays import BoolArray
from api.fitted import FittedModel
from api.health.judging import Judgements
from api.registry.as_of import known
from api.registry.models import KEY_LENGTH, Alarm
from api.times import from_ns
from api.words import plain_name
from ingest.telemetry import unit_of

SOURCE: Final = "health"

EVIDENCE_STEPS: Final = 24
"""Samples shown under an alarm: those whose smoothed deviation still holds a hundredth of its
first weight, (1 - 0.2) ** 24."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A run of steps in alarm.

    Parameters
    ----------
    first : int
        Step at which the alarm was raised.
    cleared : int or None
        Step at which it was cleared; None while it lasts.
    """

    first: int
    cleared: int | None


def episodes_of(is_alarm: BoolArray) -> list[Episode]:
    """Find the runs of steps in alarm.

    Parameters
    ----------
    is_alarm : ndarray of bool, shape (n_times,)
        Whether the machine is in alarm at each step.

    Returns
    -------
    list of Episode
        In order.

    Examples
    --------
    >>> episodes_of(np.array([False, True, True, False, True]))
    [Episode(first=1, cleared=3), Episode(first=4, cleared=None)]
    """
    change = np.diff(is_alarm.astype(np.int8), prepend=0, append=0)
    firsts, ends = np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist()
    return [
        Episode(first, end if end < is_alarm.size else None)
        for first, end in zip(firsts, ends, strict=True)
    ]


def bring_into_line(
    writing: Session, fitted: FittedModel, judged: Judgements, now: datetime
) -> list[Alarm]:
    """Raise, clear and correct the alarm facts of the machines of one kind.

    Parameters
    ----------
    writing : Session
        A writing session.
    fitted : FittedModel
        The model that judged.
    judged : Judgements
        Its judgements.
    now : datetime
        When this becomes known.

    Returns
    -------
    list of Alarm
        New versions of alarms.
    """
    machines = judged.window.block.machines
    reach = from_ns(judged.window.start_ns)
    recorded: dict[str, list[Alarm]] = {machine: [] for machine in machines}
    statement = known(Alarm).where(Alarm.machine_key.in_(machines), Alarm.source == SOURCE)
    for alarm in writing.scalars(statement.order_by(Alarm.raised_at)):
        if alarm.cleared_at is None or alarm.cleared_at >= reach:
            recorded[alarm.machine_key].append(alarm)
    versions = []
    for column, machine in enumerate(machines):
        # A machine without a good sample in the window tells nothing, neither good nor bad.
        if judged.newest[column] >= 0:
            versions += _versions(fitted, judged, column, recorded[machine], now)
    writing.add_all(versions)
    return versions


def _versions(
    fitted: FittedModel, judged: Judgements, column: int, recorded: list[Alarm], now: datetime
) -> list[Alarm]:
    start = int(judged.lives.start[column])
    versions = []
    left = list(recorded)
    for episode in episodes_of(judged.scores.is_alarm[:, column]):
        cleared_at = None if episode.cleared is None else _at(judged, episode.cleared, column)
        alarm = next((one for one in left if _is_same(one, judged, episode, column)), None)
        if alarm is None:
            versions.append(_raise(fitted, judged, column, episode, cleared_at, now))
            continue
        left.remove(alarm)
        if alarm.cleared_at != cleared_at:
            versions.append(_changed(alarm, cleared_at, now))
    newest_at = _at(judged, int(judged.newest[column]), column)
    for alarm in left:
        # Of an earlier life, or taken back by late samples.
        if alarm.cleared_at is None:
            is_earlier = alarm.raised_at < _at(judged, start, column)
            versions.append(
                _changed(alarm, _at(judged, start, column) if is_earlier else newest_at, now)
            )
    return versions


def _is_same(alarm: Alarm, judged: Judgements, episode: Episode, column: int) -> bool:
    """Whether an alarm recorded earlier is this episode, perhaps seen through a shorter window."""
    start_ns, step_ns = judged.window.start_ns, judged.window.step_ns
    first_at = from_ns(start_ns + episode.first * step_ns)
    end = judged.window.block.time_h.size if episode.cleared is None else episode.cleared
    if first_at <= alarm.raised_at < from_ns(start_ns + end * step_ns):
        return True
    # The window has moved past the raising: the detector warms up in alarm within a few steps.
    is_at_front = episode.first <= int(judged.lives.start[column]) + EVIDENCE_STEPS
    lasted = alarm.cleared_at is None or alarm.cleared_at > first_at
    began = from_ns(start_ns + int(judged.lives.start[column]) * step_ns)
    is_of_this_life = judged.lives.start[column] == 0 or alarm.raised_at >= began
    return is_at_front and alarm.raised_at < first_at and lasted and is_of_this_life


def _at(judged: Judgements, row: int, column: int) -> datetime:
    """When a step spoke: its first good sample, else its beginning."""
    first_ns = int(judged.window.first_ns[row, column])
    return from_ns(first_ns or judged.window.start_ns + row * judged.window.step_ns)


def _raise(
    fitted: FittedModel,
    judged: Judgements,
    column: int,
    episode: Episode,
    cleared_at: datetime | None,
    now: datetime,
) -> Alarm:
    machine, row = judged.window.block.machines[column], episode.first
    z = judged.scores.z[row, :, column]
    signal_row = int(np.nanargmax(np.abs(z)))
    signal = judged.signals[signal_row]
    since = max(row - EVIDENCE_STEPS, int(judged.lives.start[column]))
    good = np.flatnonzero(judged.window.last_ns[since : row + 1, column]) + since
    raised_at = _at(judged, row, column)
    begins_s = (judged.window.start_ns + row * judged.window.step_ns) // 1_000_000_000
    return Alarm(
        key=alarm_key(machine, begins_s),
        source=SOURCE,
        valid_at=raised_at,
        recorded_at=now,
        machine_key=machine,
        raised_at=raised_at,
        cleared_at=cleared_at,
        signal=signal,
        score=float(judged.scores.score[row, column]),
        message=_message(judged, column, row, signal, float(z[signal_row])),
        samples_from=from_ns(int(judged.window.first_ns[good[0], column])),
        samples_to=from_ns(int(judged.window.last_ns[good[-1], column])),
        model_version=fitted.version,
    )


def alarm_key(machine: str, begins_s: int) -> str:
    """Name an alarm: the same for the same machine and step, whenever it is found.

    Parameters
    ----------
    machine : str
        Machine name.
    begins_s : int
        Begin of the step that raised it. [s since 1970-01-01 UTC]

    Returns
    -------
    str
        At most `KEY_LENGTH` characters.

    Examples
    --------
    >>> alarm_key("pump-01", 1_700_000_000)
    'alarm-1700000000-pump-01'
    """
    key = f"alarm-{begins_s}-{machine}"
    if len(key) <= KEY_LENGTH:
        return key
    digest = hashlib.sha256(machine.encode()).hexdigest()[:16]
    return f"alarm-{begins_s}-{digest}"


def _message(judged: Judgements, column: int, row: int, signal: str, z: float) -> str:
    place = judged.window.block.signals.index(signal)
    value = float(judged.window.block.values[row, place, column])
    unit = unit_of(signal)
    in_unit = "" if unit in {None, "1"} else f" {unit}"
    name = plain_name(signal)
    now_at = f"{value:.3g}{in_unit}" if np.isfinite(value) else "not measured just now"
    side = "above" if z > 0 else "below"
    return (
        f"{judged.window.block.machines[column]}: {name} is {now_at}, {abs(z):.1f} healthy "
        f"spreads {side} what is usual for its kind, and has been for several steps"
    )


def _changed(alarm: Alarm, cleared_at: datetime | None, now: datetime) -> Alarm:
    return Alarm(
        key=alarm.key,
        source=alarm.source,
        valid_at=cleared_at or alarm.raised_at,
        recorded_at=now,
        machine_key=alarm.machine_key,
        raised_at=alarm.raised_at,
        cleared_at=cleared_at,
        signal=alarm.signal,
        score=alarm.score,
        message=alarm.message,
        samples_from=alarm.samples_from,
        samples_to=alarm.samples_to,
        model_version=alarm.model_version,
    )
