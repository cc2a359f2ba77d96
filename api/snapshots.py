"""The newest judgement on each machine and customer, and reading a survival off it.

Health, planning and retention meet here: each writes its own snapshots and reads the others'.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.registry.models import HealthSnapshot, Proposal, RiskSnapshot

J = TypeVar("J", HealthSnapshot, Proposal, RiskSnapshot)

MONTH_H: Final = 30 * 24.0
"""The 30 days within which failures are counted on every screen."""


def latest_health(
    session: Session, computed_by: datetime | None = None
) -> dict[str, HealthSnapshot]:
    """Newest health snapshot of each machine.

    Parameters
    ----------
    session : Session
        Where to read.
    computed_by : datetime, optional
        Later ones are not seen.

    Returns
    -------
    dict of str to HealthSnapshot
        By machine key.
    """
    return _newest(session, HealthSnapshot, HealthSnapshot.machine_key, computed_by)


def latest_proposals(session: Session) -> dict[str, Proposal]:
    """Newest proposal of each machine, open or not.

    Parameters
    ----------
    session : Session
        Where to read.

    Returns
    -------
    dict of str to Proposal
        By machine key.
    """
    return _newest(session, Proposal, Proposal.machine_key)


def latest_risks(session: Session) -> dict[str, RiskSnapshot]:
    """Newest risk of each customer.

    Parameters
    ----------
    session : Session
        Where to read.

    Returns
    -------
    dict of str to RiskSnapshot
        By customer key.
    """
    return _newest(session, RiskSnapshot, RiskSnapshot.customer_key)


def _newest(
    session: Session,
    model: type[J],
    whose: InstrumentedAttribute[str],
    computed_by: datetime | None = None,
) -> dict[str, J]:
    newest = select(func.max(model.id)).group_by(whose)
    if computed_by is not None:
        newest = newest.where(model.computed_at <= computed_by)
    rows = session.execute(select(whose, model).where(model.id.in_(newest)))
    return {row[0]: row[1] for row in rows}


def failure_probability(survival: Sequence[Sequence[Any]], within_h: float) -> float | None:
    """Probability of failing within some time, read off a survival.

    Parameters
    ----------
    survival : sequence of pairs
        Hours ahead, rising, and the probability of still running, as a snapshot keeps them.
    within_h : float
        How far ahead. [h]

    Returns
    -------
    float or None
        Linear between the points, the last one beyond them; None where the survival is not known.

    Examples
    --------
    >>> failure_probability([[0.0, 1.0], [100.0, 0.5]], within_h=50.0)
    0.25
    """
    if not survival:
        return None
    ahead_h, running = np.array(survival, dtype=np.float64).T
    if ahead_h[0] > 0.0:
        ahead_h, running = np.r_[0.0, ahead_h], np.r_[1.0, running]
    return 1.0 - float(np.interp(within_h, ahead_h, running))
