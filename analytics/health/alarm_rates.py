"""How well an alarm system serves those who answer it: floods, rates, and limits that learn.

References: ANSI/ISA-18.2-2016, clause 16, and EEMUA publication 191 (2013), for the figures that a
person can cope with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, DomainError, FloatArray, NotEnoughDataError
from analytics.health.alarm_states import Verdict

FLOOD_ALARMS: Final = 10
FLOOD_WINDOW_H: Final = 1.0 / 6.0
"""More than ten new alarms within ten minutes are a flood (ISA-18.2, 16.5.3). [h]"""

FLOOD_OVER_ALARMS: Final = 5
"""A flood is over when fewer than five come within ten minutes."""

HOURS_PER_MONTH: Final = 730.5


def flood_at(raised_h: FloatArray) -> BoolArray:
    """Say at each alarm whether it is part of a flood.

    Parameters
    ----------
    raised_h : ndarray of shape (n,)
        When alarms were raised for one operator, rising. [h]

    Returns
    -------
    ndarray of bool, shape (n,)
        From the eleventh alarm within ten minutes until fewer than five come in as long.

    Raises
    ------
    DomainError
        If times fall.

    Examples
    --------
    >>> flood_at(np.arange(14) / 70.0).tolist()[8:]
    [False, False, True, True, True, True]
    """
    if (np.diff(raised_h) < 0).any():
        msg = "flood_at: raised_h falls; sort the alarms by the time they were raised"
        raise DomainError(msg)
    first = np.searchsorted(raised_h, raised_h - FLOOD_WINDOW_H, side="right")
    n_recent = np.arange(raised_h.size) - first + 1
    is_flood = np.zeros(raised_h.size, np.bool_)
    standing = False
    for place, count in enumerate(n_recent):
        standing = bool(count > FLOOD_ALARMS or (standing and count >= FLOOD_OVER_ALARMS))
        is_flood[place] = standing
    return is_flood


def alarms_per_machine_month(n_alarms: int, n_machines: int, hours: float) -> float:
    """Rate of alarms.

    Parameters
    ----------
    n_alarms, n_machines : int
        How many, of how many machines.
    hours : float
        Time watched. [h]

    Returns
    -------
    float
        Alarms per machine and month.

    Raises
    ------
    DomainError
        If no machine was watched.
    """
    if n_machines < 1 or not hours > 0:
        msg = f"alarms_per_machine_month: {n_machines} machines over {hours} h; give some of both"
        raise DomainError(msg)
    return n_alarms / n_machines / (hours / HOURS_PER_MONTH)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an alarm proved to be.

    Parameters
    ----------
    peak_ratio : float
        Largest statistic over limit while it stood, 1 or more.
    verdict : str
        ``true``, ``false`` or ``unknown``; the last is left out.
    """

    peak_ratio: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Tuning:
    """A new limit, and what it would have meant.

    Parameters
    ----------
    factor : float
        Multiply limits by this; at least 1, for what lay below the limit was never judged.
    n_true_kept, n_true_lost : int
        True alarms that would still have come, and that would not.
    n_false_left : int
        False alarms that would still have come.
    false_per_machine_month : float
        Their rate.
    """

    factor: float
    n_true_kept: int
    n_true_lost: int
    n_false_left: int
    false_per_machine_month: float


def tune_limit(
    feedback: Sequence[Feedback],
    *,
    n_machines: int,
    hours: float,
    budget_per_machine_month: float,
    min_verdicts: int = 10,
) -> Tuning:
    """Raise limits just as far as a budget of false alarms asks for.

    Parameters
    ----------
    feedback : sequence of Feedback
        Of the alarms of one kind of machine.
    n_machines : int
        Machines watched.
    hours : float
        Time watched. [h]
    budget_per_machine_month : float
        False alarms that may come per machine and month.
    min_verdicts : int
        True or false verdicts that are needed.

    Returns
    -------
    Tuning
        The least factor that keeps the budget, and what it costs in true alarms.

    Raises
    ------
    NotEnoughDataError
        If there are too few verdicts.
    DomainError
        If the budget is below 0.

    Examples
    --------
    >>> told = [Feedback(ratio, "false") for ratio in (1.1, 1.2, 1.3)]
    >>> told += [Feedback(5.0, "true")] * 7
    >>> found = tune_limit(told, n_machines=1, hours=730.5, budget_per_machine_month=1.0)
    >>> found.factor > 1.2, found.n_true_kept, found.n_false_left
    (True, 7, 1)
    """
    if budget_per_machine_month < 0:
        msg = f"tune_limit: the budget is {budget_per_machine_month}; give a rate of at least 0"
        raise DomainError(msg)
    judged = [one for one in feedback if one.verdict != "unknown"]
    if len(judged) < min_verdicts:
        msg = (
            f"tune_limit: not enough data: {len(judged)} of {min_verdicts} verdicts; "
            "mark more alarms as true or false"
        )
        raise NotEnoughDataError(msg)
    false = sorted((one.peak_ratio for one in judged if one.verdict == "false"), reverse=True)
    allowed = int(budget_per_machine_month * n_machines * hours / HOURS_PER_MONTH + 1e-9)
    # Just above the largest false alarm that the budget has no room for.
    factor = 1.0 if len(false) <= allowed else max(float(np.nextafter(false[allowed], np.inf)), 1.0)
    true = [one.peak_ratio for one in judged if one.verdict == "true"]
    n_left = sum(ratio >= factor for ratio in false)
    return Tuning(
        factor=factor,
        n_true_kept=sum(ratio >= factor for ratio in true),
        n_true_lost=sum(ratio < factor for ratio in true),
        n_false_left=n_left,
        false_per_machine_month=alarms_per_machine_month(n_left, n_machines, hours),
    )
