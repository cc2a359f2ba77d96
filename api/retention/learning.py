"""What past months teach about leaving: one row for each customer and month, free of hindsight.

The features of a row are those known at the month's first moment; only the answer, whether the
customer left in that month, is taken from what is known today.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import numpy as np

from analytics.arrays import BoolArray, FloatArray
from analytics.retention.churn import CHURN_FEATURES, ChurnModel, expert_prior, fit_churn_model
from api.history import HOURS_PER_DAY, FactHistory, Known
from api.registry.as_of import EPOCH, hours_since
from api.registry.models import Contract
from api.retention.features import features_at

MAX_MONTHS: Final = 60
"""Five years: what drove customers away before that drives them differently today."""


def learn(history: FactHistory, now: datetime) -> ChurnModel:
    """Fit the churn model to all months that are over.

    Parameters
    ----------
    history : FactHistory
        All business facts.
    now : datetime
        The present.

    Returns
    -------
    ChurnModel
        The experts' beliefs where there is no history.
    """
    X, has_left = training_rows(history, now)
    return fit_churn_model(X, has_left, expert_prior())


def training_rows(history: FactHistory, now: datetime) -> tuple[FloatArray, BoolArray]:
    """Features at the start of each customer-month, and whether the customer left in it.

    Parameters
    ----------
    history : FactHistory
        All business facts.
    now : datetime
        The present; the current month is not over and gives no row.

    Returns
    -------
    tuple of ndarray of shape (n_rows, n_features) and ndarray of bool, shape (n_rows,)
        Rows by month, then by customer key.
    """
    left_h = _left_h(history.at(now))
    X, has_left = [np.zeros((0, len(CHURN_FEATURES)))], [np.zeros(0, dtype=np.bool_)]
    for start, end in _months(history.first_recorded_h, now):
        known = history.at(start)
        start_h, end_h = hours_since(start), hours_since(end)
        # Who had left already, though we did not know it yet, was not there to stay.
        is_there = known.is_active & ~(left_h <= start_h)
        if not is_there.any():
            continue
        nothing_expected = np.zeros(len(known.machines))
        X.append(features_at(known, nothing_expected).x[is_there])
        # Who leaves at a month's last midnight leaves in that month: contracts mostly end so.
        has_left.append((left_h <= end_h)[is_there])
    return np.concatenate(X), np.concatenate(has_left)


def _left_h(known: Known) -> FloatArray:
    """First moment each customer was gone for good; nan for who is still there."""
    contracts = known.rows[Contract]
    is_churned = (contracts["outcome"] == "churned") & (contracts.parent >= 0)
    # Whichever came first, as in `api.history.is_running`: the answer may be noted after the end.
    gone_on = np.fmin(contracts["outcome_on"], contracts["ends_on"])[is_churned]
    left_h = np.full(known.n_customers, -np.inf)
    np.maximum.at(left_h, contracts.parent[is_churned], gone_on * HOURS_PER_DAY)
    return np.where(np.isinf(left_h) | known.is_active, np.nan, left_h)


def _months(first_h: float, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Whole calendar months from the first one that begins after a moment, oldest first."""
    if not np.isfinite(first_h):
        return
    months: list[tuple[datetime, datetime]] = []
    end = datetime(now.year, now.month, 1, tzinfo=UTC)
    while len(months) < MAX_MONTHS:
        year, month = (end.year - 1, 12) if end.month == 1 else (end.year, end.month - 1)
        start = datetime(year, month, 1, tzinfo=UTC)
        if start < EPOCH or hours_since(start) < first_h:
            break
        months.append((start, end))
        end = start
    yield from reversed(months)
