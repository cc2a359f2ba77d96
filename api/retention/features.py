"""The churn model's features at one moment, and the facts under each.

The same function gives the rows the model learns from and the row it judges by, so the two can't
drift apart. Definitions stand in `analytics.retention.churn_features`; this module finds their
facts and leaves the arithmetic of standstill, repeat visits and risk to `analytics`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.arrays import BoolArray, FloatArray, IntArray
from analytics.retention.churn import CHURN_FEATURES
from analytics.retention.downtime import downtime_exposure_h
from analytics.retention.first_time_fix import (
    NOT_COUNTED,
    days_to_next,
    first_time_fix,
    shrunk_ratio,
)
from api.evidence.schemas import EvidenceKind
from api.history import HOURS_PER_DAY, Known, Rows, look_up
from api.registry.models import Contract, Downtime, Payment, Ticket, Usage, Visit, WorkOrder

USUAL_REPEAT_RATIO: Final = 0.15
USUAL_REPEAT_N_VISITS: Final = 4.0
REPEAT_WINDOW_DAYS: Final = 30.0
QUARTER_H: Final = 90 * HOURS_PER_DAY
HALF_YEAR_H: Final = 180 * HOURS_PER_DAY
YEAR_H: Final = 365 * HOURS_PER_DAY
LEAST_USUAL_TICKETS: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class FactsUnder:
    """Facts that a feature was computed from.

    Parameters
    ----------
    kind : str
        What they are.
    customer : ndarray of int64, shape (n_facts,)
        Whose feature.
    key : ndarray of object, shape (n_facts,)
        Their keys.
    value : ndarray of float64, shape (n_facts,)
        What each brought, in `unit`.
    unit : str
        Unit of `value`.
    machine : ndarray of int64, shape (n_facts,)
        Machine of each, -1 where it has none.
    """

    kind: EvidenceKind
    customer: IntArray
    key: npt.NDArray[np.object_]
    value: FloatArray
    unit: str
    machine: IntArray

    def of(self, customer: int, machine: int | None = None) -> list[tuple[str, float]]:
        """Facts of one customer, the largest value first.

        Parameters
        ----------
        customer : int
            Position of the customer.
        machine : int, optional
            Only facts of this machine.

        Returns
        -------
        list of tuple of str and float
            Key and value of each.
        """
        chosen = self.customer == customer
        if machine is not None:
            chosen &= self.machine == machine
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(-np.abs(self.value[rows]), kind="stable")]
        return [(str(self.key[row]), float(self.value[row])) for row in rows]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureColumn:
    """One feature of all customers.

    Parameters
    ----------
    value : ndarray of shape (n_customers,)
        The feature; ``nan`` where not known.
    facts : FactsUnder
        What it came from.
    by_machine : ndarray of shape (n_machines,), optional
        The part of each machine, where the feature is a sum over machines.
    """

    value: FloatArray
    facts: FactsUnder | None
    by_machine: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """All features of all customers at one moment.

    Parameters
    ----------
    x : ndarray of shape (n_customers, n_features)
        In the order of `CHURN_FEATURES`.
    columns : tuple of FeatureColumn
        The same, with what they came from.
    """

    x: FloatArray
    columns: tuple[FeatureColumn, ...]


def features_at(known: Known, expected_downtime_h: FloatArray) -> Features:
    """Compute every feature from what was known at a moment.

    Parameters
    ----------
    known : Known
        The registry at that moment.
    expected_downtime_h : ndarray of shape (n_machines,)
        Unplanned standstill expected in the 30 days after it; 0 where nothing is known. [h]

    Returns
    -------
    Features
        Of every customer, also of those not active then.
    """
    columns = tuple(
        _expected_downtime(known, expected_downtime_h)
        if spec.name == "expected_downtime_h_per_machine_30d"
        else _FEATURES[spec.name](known)
        for spec in CHURN_FEATURES
    )
    return Features(np.column_stack([column.value for column in columns]), columns)


def unplanned_downtime_h(known: Known, window_h: float) -> FloatArray:
    """Hours each machine stood still unplanned in the window that ends at the moment.

    Parameters
    ----------
    known : Known
        The registry at that moment.
    window_h : float
        Length of the window. [h]

    Returns
    -------
    ndarray of shape (n_machines,)
        Overlaps counted once. [h]
    """
    rows = unplanned(known, window_h)
    start_h, end_h = _span(rows, known.at_h)
    return downtime_exposure_h(
        rows.parent,
        start_h,
        end_h,
        n_machines=len(known.machines),
        window_start_h=known.at_h - window_h,
        window_end_h=known.at_h,
    )


def unplanned(known: Known, window_h: float) -> Rows:
    """Unplanned standstills that reach into the window that ends at the moment.

    Parameters
    ----------
    known : Known
        The registry at that moment.
    window_h : float
        Length of the window. [h]

    Returns
    -------
    Rows
        Standstills of known machines.
    """
    rows = known.rows[Downtime]
    start_h, end_h = _span(rows, known.at_h)
    in_window = (start_h < known.at_h) & (end_h > known.at_h - window_h)
    return rows.take(in_window & ~rows["is_planned"] & (rows.parent >= 0))


def corrective_visits(known: Known) -> tuple[Rows, IntArray, IntArray]:
    """Corrective visits that have ended, with what must not fail again.

    Parameters
    ----------
    known : Known
        The registry at that moment.

    Returns
    -------
    tuple of Rows, ndarray of shape (n_visits,), ndarray of shape (n_visits,)
        Visits, the machine of each, and a code for its machine and fault.
    """
    visits, orders = known.rows[Visit], known.rows[WorkOrder]
    order_row = _row_of(orders, visits.parent)
    has_order = order_row >= 0
    is_corrective = np.zeros(has_order.size, dtype=np.bool_)
    is_corrective[has_order] = orders["kind"][order_row[has_order]] == "corrective"
    machine = look_up(orders.parent, order_row)
    chosen = is_corrective & (visits["left_at"] <= known.at_h) & (machine >= 0)
    fault = orders["fault_code"][order_row[chosen]]
    faults = {code: number for number, code in enumerate(sorted({str(code) for code in fault}))}
    code = np.array([faults[str(one)] for one in fault], dtype=np.int64)
    return visits.take(chosen), machine[chosen], machine[chosen] * max(len(faults), 1) + code


def _downtime(known: Known) -> FeatureColumn:
    hours = unplanned_downtime_h(known, QUARTER_H)
    hours[known.machine_customer < 0] = 0.0
    rows = unplanned(known, QUARTER_H)
    start_h, end_h = _span(rows, known.at_h)
    facts = FactsUnder(
        "downtime",
        known.machine_customer[rows.parent],
        rows["key"],
        end_h - np.maximum(start_h, known.at_h - QUARTER_H),
        "h",
        rows.parent,
    )
    return FeatureColumn(_per_machine(known, hours), facts, hours)


def _expected_downtime(known: Known, expected_h: FloatArray) -> FeatureColumn:
    hours = np.where(known.machine_customer >= 0, expected_h, 0.0)
    return FeatureColumn(_per_machine(known, hours), None, hours)


def _repeat_visits(known: Known) -> FeatureColumn:
    visits, machine, key = corrective_visits(known)
    all_true = np.ones(key.shape, dtype=np.bool_)
    ended_h: FloatArray = visits["left_at"]
    in_window = ended_h > known.at_h - HALF_YEAR_H
    found = first_time_fix(
        key,
        ended_h / HOURS_PER_DAY,
        all_true,
        visits["is_resolved"],
        as_of_day=known.at_h / HOURS_PER_DAY,
        window_days=REPEAT_WINDOW_DAYS,
        is_counted=in_window,
    )
    # Too recent to be called fixed, but a repeat that has come already is a repeat.
    customer = known.machine_customer[machine]
    is_counted = (found.status != NOT_COUNTED) & (customer >= 0)
    came_back = days_to_next(key, ended_h / HOURS_PER_DAY) <= REPEAT_WINDOW_DAYS
    is_repeat = is_counted & (~visits["is_resolved"] | came_back)
    n_visits = np.bincount(customer[is_counted], minlength=known.n_customers).astype(np.float64)
    n_repeats = np.bincount(customer[is_repeat], minlength=known.n_customers).astype(np.float64)
    ratio = shrunk_ratio(
        n_repeats, n_visits, prior_ratio=USUAL_REPEAT_RATIO, prior_n=USUAL_REPEAT_N_VISITS
    )
    facts = FactsUnder(
        "visit",
        customer[is_counted],
        visits["key"][is_counted],
        is_repeat[is_counted].astype(np.float64),
        "not fixed the first time",
        machine[is_counted],
    )
    return FeatureColumn(ratio, facts)


def _response(known: Known) -> FeatureColumn:
    orders, visits, contracts = known.rows[WorkOrder], known.rows[Visit], known.rows[Contract]
    arrived_h = np.full(orders.own.size, np.inf)
    order_row = _row_of(orders, visits.parent)
    has_come = (order_row >= 0) & (visits["arrived_at"] <= known.at_h)
    np.minimum.at(arrived_h, order_row[has_come], visits["arrived_at"][has_come])
    contract = look_up(known.machine_contract, orders.parent)
    opened_h = orders["opened_at"]
    chosen = (
        (orders["kind"] == "corrective")
        & (opened_h > known.at_h - QUARTER_H)
        & (opened_h <= known.at_h)
        & (contract >= 0)
    )
    waited_h = np.minimum(arrived_h, known.at_h)[chosen] - opened_h[chosen]
    target_h = contracts["response_target_h"][contract[chosen]]
    over = np.maximum(waited_h, 0.0) / np.where(target_h > 0, target_h, np.nan)
    customer = known.machine_customer[orders.parent[chosen]]
    facts = FactsUnder(
        "work_order", customer, orders["key"][chosen], over, "ratio", orders.parent[chosen]
    )
    return FeatureColumn(_mean_by(known, customer, over), facts)


def _late_payment(known: Known) -> FeatureColumn:
    payments, contracts = known.rows[Payment], known.rows[Contract]
    today = np.floor(known.at_h / HOURS_PER_DAY)
    contract = _row_of(contracts, payments.parent)
    due, paid = payments["due_on"], payments["paid_on"]
    customer = look_up(contracts.parent, contract)
    chosen = (due > today - 180) & (due <= today) & (customer >= 0)
    settled = np.minimum(np.where(np.isnan(paid), np.inf, paid), today)
    late_days = np.maximum(settled - due, 0.0)[chosen]
    facts = FactsUnder(
        "payment", customer[chosen], payments["key"][chosen], late_days, "days", _none(late_days)
    )
    return FeatureColumn(_mean_by(known, customer[chosen], late_days), facts)


def _usage(known: Known) -> FeatureColumn:
    usages = known.rows[Usage]
    month = _month_number(usages["month"])
    now = int(_month_number(np.array([known.at_h / HOURS_PER_DAY]))[0])
    n_machines = len(known.machines)
    # The newest full month may not be recorded yet; then the six months end one earlier.
    run_h = np.full((n_machines, 7), np.nan)
    place = 7 - (now - month)
    chosen = (place >= 0) & (place < 7) & (usages.parent >= 0)
    run_h[usages.parent[chosen], place[chosen]] = usages["run_h"][chosen]
    is_late = np.isnan(run_h[:, 6])
    six = np.where(is_late[:, None], run_h[:, :6], run_h[:, 1:])
    is_whole = ~np.isnan(six).any(axis=1) & (known.machine_customer >= 0)
    customer = known.machine_customer[is_whole]
    before = np.bincount(customer, six[is_whole, :3].sum(axis=1), known.n_customers)
    after = np.bincount(customer, six[is_whole, 3:].sum(axis=1), known.n_customers)
    change = np.full(known.n_customers, np.nan)
    np.divide(after - before, before, out=change, where=before > 0)
    first = np.where(is_late, 0, 1)
    machine = usages.parent
    in_six = chosen & (place >= first[machine]) & (place < first[machine] + 6) & is_whole[machine]
    facts = FactsUnder(
        "usage",
        known.machine_customer[machine[in_six]],
        usages["key"][in_six],
        usages["run_h"][in_six],
        "h",
        machine[in_six],
    )
    return FeatureColumn(change, facts)


def _complaints(known: Known) -> FeatureColumn:
    tickets = known.rows[Ticket]
    chosen = (tickets["kind"] == "complaint") & _opened_in(known, tickets, QUARTER_H, 0.0)
    customer = tickets.parent[chosen]
    count = np.bincount(customer, minlength=known.n_customers).astype(np.float64)
    ones = np.ones(customer.size)
    facts = FactsUnder("ticket", customer, tickets["key"][chosen], ones, "count", _none(ones))
    return FeatureColumn(count, facts)


def _silence(known: Known) -> FeatureColumn:
    tickets = known.rows[Ticket]
    recent = _opened_in(known, tickets, QUARTER_H, 0.0)
    before = _opened_in(known, tickets, QUARTER_H + YEAR_H, QUARTER_H)
    n_recent = np.bincount(tickets.parent[recent], minlength=known.n_customers)
    n_before = np.bincount(tickets.parent[before], minlength=known.n_customers)
    usual = n_before * (QUARTER_H / YEAR_H)
    silence = np.zeros(known.n_customers)
    is_usual = usual >= LEAST_USUAL_TICKETS
    silence[is_usual] = np.clip(1.0 - n_recent[is_usual] / usual[is_usual], 0.0, 1.0)
    both = recent | before
    facts = FactsUnder(
        "ticket",
        tickets.parent[both],
        tickets["key"][both],
        np.ones(int(both.sum())),
        "count",
        _none(tickets.parent[both]),
    )
    return FeatureColumn(silence, facts)


_FEATURES: Final[dict[str, Callable[[Known], FeatureColumn]]] = {
    "downtime_h_per_machine_90d": _downtime,
    "repeat_visit_ratio_180d": _repeat_visits,
    "response_over_target_ratio_90d": _response,
    "late_payment_days_180d": _late_payment,
    "usage_change_ratio_90d": _usage,
    "complaints_90d_count": _complaints,
    "tickets_silence_flag_ratio": _silence,
}


def _span(rows: Rows, at_h: float) -> tuple[FloatArray, FloatArray]:
    start_h: FloatArray = rows["started_at"]
    end_h = np.where(np.isnan(rows["ended_at"]), np.inf, rows["ended_at"])
    return start_h, np.maximum(np.minimum(end_h, at_h), start_h)


def _opened_in(known: Known, tickets: Rows, from_ago_h: float, to_ago_h: float) -> BoolArray:
    opened_h = tickets["opened_at"]
    chosen: BoolArray = (
        (opened_h > known.at_h - from_ago_h)
        & (opened_h <= known.at_h - to_ago_h)
        & (tickets.parent >= 0)
    )
    return chosen


def _row_of(rows: Rows, own: IntArray) -> IntArray:
    """Row of each fact among those known, -1 where it is not."""
    size = max(int(rows.own.max(initial=-1)), int(own.max(initial=-1))) + 2
    row = np.full(size, -1)
    row[rows.own] = np.arange(rows.own.size)
    return row[own]  # -1 looks at the last place, which is never filled


def _per_machine(known: Known, hours: FloatArray) -> FloatArray:
    has_customer = known.machine_customer >= 0
    total = np.bincount(
        known.machine_customer[has_customer], hours[has_customer], known.n_customers
    )
    per_machine = np.zeros(known.n_customers)
    n_machines = known.n_machines_of
    np.divide(total, n_machines, out=per_machine, where=n_machines > 0)
    return per_machine


def _mean_by(known: Known, customer: IntArray, value: FloatArray) -> FloatArray:
    is_known = np.isfinite(value)
    count = np.bincount(customer[is_known], minlength=known.n_customers)
    total = np.bincount(customer[is_known], value[is_known], known.n_customers)
    mean = np.full(known.n_customers, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _none(like: FloatArray | IntArray) -> IntArray:
    return np.full(like.size, -1)


def _month_number(days: FloatArray) -> IntArray:
    return np.floor(days).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
