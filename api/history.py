"""Everything ever recorded about customers, as columns that can be cut at any past moment.

Read once and kept until the registry changes. A version of a fact counts from the moment it was
recorded until the next version of it was: cutting at a moment is one comparison per row, so
years of monthly landmarks cost no further reads.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from analytics.arrays import BoolArray, FloatArray, IntArray
from api.registry.as_of import columns, hours_since, positions
from api.registry.database import read_session
from api.registry.models import (
    Contract,
    Customer,
    Downtime,
    Fact,
    ImportBatch,
    Machine,
    Payment,
    Site,
    Ticket,
    Usage,
    Visit,
    WorkOrder,
)

Column = npt.NDArray[Any]

COLUMNS: Final[Mapping[type[Fact], Sequence[str]]] = {
    Customer: (),
    Site: ("customer_key",),
    Contract: (
        "customer_key",
        "starts_on",
        "ends_on",
        "outcome",
        "outcome_on",
        "response_target_h",
        "downtime_vendor_share_ratio",
    ),
    Machine: ("site_key", "contract_key", "installed_on", "downtime_cost_per_h"),
    WorkOrder: ("machine_key", "kind", "fault_code", "opened_at"),
    Visit: ("work_order_key", "arrived_at", "left_at", "is_resolved"),
    Downtime: ("machine_key", "started_at", "ended_at", "is_planned"),
    Ticket: ("customer_key", "kind", "opened_at"),
    Payment: ("contract_key", "due_on", "paid_on"),
    Usage: ("machine_key", "month", "run_h"),
}
"""What the features need of each table, beside the key and the two times."""

PARENT: Final[Mapping[type[Fact], tuple[str, type[Fact]]]] = {
    Site: ("customer_key", Customer),
    Contract: ("customer_key", Customer),
    WorkOrder: ("machine_key", Machine),
    Visit: ("work_order_key", WorkOrder),
    Downtime: ("machine_key", Machine),
    Ticket: ("customer_key", Customer),
    Payment: ("contract_key", Contract),
    Usage: ("machine_key", Machine),
}
"""Which fact each fact belongs to."""

HOURS_PER_DAY: Final = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one table.

    Parameters
    ----------
    column : mapping of str to ndarray of shape (n_rows,)
        Moments [h] and dates [days] since 1970-01-01 UTC, numbers, text; with ``key``,
        ``known_from_h`` and ``known_until_h`` [h].
    own : ndarray of int64, shape (n_rows,)
        Position of each row's fact among all facts of the table.
    parent : ndarray of int64, shape (n_rows,)
        Position of the fact it belongs to in its table, -1 if there is none.
    """

    column: Mapping[str, Column]
    own: IntArray
    parent: IntArray

    def __getitem__(self, name: str) -> Column:
        return self.column[name]

    def take(self, rows: BoolArray) -> "Rows":
        """Select rows.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows,)
            Which.

        Returns
        -------
        Rows
            Those, in order.
        """
        chosen = {name: values[rows] for name, values in self.column.items()}
        return Rows(chosen, self.own[rows], self.parent[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What was known at one moment.

    Parameters
    ----------
    at_h : float
        The moment. [h since 1970-01-01 UTC]
    customers, machines : tuple of str
        Keys of all customers and machines ever recorded; arrays by customer or machine follow
        their order.
    rows : mapping
        Of each table the versions that counted then.
    machine_customer : ndarray of int64, shape (n_machines,)
        Customer of each machine that was under a running contract then, -1 for the others.
    machine_contract : ndarray of int64, shape (n_machines,)
        Row of its contract in ``rows[Contract]``, -1 for the others.
    is_active : ndarray of bool, shape (n_customers,)
        Whether the customer had a running contract then.
    """

    at_h: float
    customers: tuple[str, ...]
    machines: tuple[str, ...]
    rows: Mapping[type[Fact], Rows]
    machine_customer: IntArray
    machine_contract: IntArray
    is_active: BoolArray

    @property
    def n_customers(self) -> int:
        """Customers ever recorded."""
        return len(self.customers)

    @property
    def n_machines_of(self) -> FloatArray:
        """Machines under a running contract, by customer."""
        return np.bincount(
            self.machine_customer[self.machine_customer >= 0], minlength=self.n_customers
        ).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class FactHistory:
    """All versions of all facts.

    Parameters
    ----------
    keys : mapping
        Of each table all keys ever recorded, sorted.
    rows : mapping
        Of each table all versions, sorted by key and time of recording.
    version : tuple
        Changes when the registry does, see `registry_version`.
    """

    keys: Mapping[type[Fact], tuple[str, ...]]
    rows: Mapping[type[Fact], Rows]
    version: tuple[Any, ...]

    @property
    def first_recorded_h(self) -> float:
        """When the first contract became known, inf if none is, in hours since 1970-01-01 UTC."""
        known_from_h: FloatArray = self.rows[Contract]["known_from_h"]
        return float(known_from_h.min(initial=np.inf))

    def at(self, moment: datetime | float) -> Known:
        """Cut at a moment.

        Parameters
        ----------
        moment : datetime or float
            The moment, aware or in hours since 1970-01-01 UTC.

        Returns
        -------
        Known
            What was recorded by then.
        """
        at_h = hours_since(moment) if isinstance(moment, datetime) else moment
        rows = {
            model: every.take((every["known_from_h"] <= at_h) & (at_h < every["known_until_h"]))
            for model, every in self.rows.items()
        }
        contracts, machines = rows[Contract], rows[Machine]
        n_machines = len(self.keys[Machine])
        running = is_running(contracts, at_h)
        of_machine = positions(machines["contract_key"], self.keys[Contract])
        contract_row = self._counting_contract(contracts, running, at_h)
        row = look_up(contract_row, of_machine)
        row[~(machines["installed_on"] * HOURS_PER_DAY <= at_h)] = -1
        machine_contract = np.full(n_machines, -1)
        machine_contract[machines.own] = row
        machine_customer = np.full(n_machines, -1)
        machine_customer[machines.own] = look_up(contracts.parent, row)
        is_active = np.zeros(len(self.keys[Customer]), dtype=np.bool_)
        is_active[contracts.parent[running & (contracts.parent >= 0)]] = True
        return Known(
            at_h,
            self.keys[Customer],
            self.keys[Machine],
            rows,
            machine_customer,
            machine_contract,
            is_active,
        )

    def _counting_contract(self, contracts: Rows, running: BoolArray, at_h: float) -> IntArray:
        """Row of the contract that covers what each contract is named for, -1 for none.

        Machines are written over to a renewed contract some time before or after it begins; in
        between the customer's newest running contract covers them. One that was left, or ended
        without a word, passes nothing on.
        """
        newest_last = np.flatnonzero(running & (contracts.parent >= 0))
        newest_last = newest_last[np.argsort(contracts["starts_on"][newest_last], kind="stable")]
        of_customer = np.full(len(self.keys[Customer]), -1)
        of_customer[contracts.parent[newest_last]] = newest_last
        is_between = (contracts["outcome"] == "renewed") | (
            contracts["starts_on"] > np.floor(at_h / HOURS_PER_DAY)
        )
        row = np.full(len(self.keys[Contract]), -1)
        row[contracts.own] = np.where(
            running,
            np.arange(running.size),
            np.where(is_between, look_up(of_customer, contracts.parent), -1),
        )
        return row


def look_up(values: IntArray, index: IntArray) -> IntArray:
    """Take values by position, where there is one.

    Parameters
    ----------
    values : ndarray of int64, shape (n_values,)
        What to take from.
    index : ndarray of int64, shape (n,)
        Positions; -1 where there is none.

    Returns
    -------
    ndarray of int64, shape (n,)
        The values, -1 where there is none.

    Examples
    --------
    >>> look_up(np.array([7, 8]), np.array([1, -1])).tolist()
    [8, -1]
    """
    found = np.full(index.shape, -1)
    found[index >= 0] = values[index[index >= 0]]
    return found


def is_running(contracts: Rows, at_h: float) -> BoolArray:
    """Whether each contract covers a moment.

    Parameters
    ----------
    contracts : Rows
        Rows of contracts.
    at_h : float
        The moment. [h since 1970-01-01 UTC]

    Returns
    -------
    ndarray of bool, shape (n_rows,)
        True from its first day until it ends, or was left.
    """
    day = np.floor(at_h / HOURS_PER_DAY)
    has_left = (contracts["outcome"] == "churned") & (contracts["outcome_on"] <= day)
    running: BoolArray = (contracts["starts_on"] <= day) & (day < contracts["ends_on"]) & ~has_left
    return running


def registry_version(session: Session) -> tuple[Any, ...]:
    """Say which state the registry's business facts are in.

    Parameters
    ----------
    session : Session
        Where to read.

    Returns
    -------
    tuple
        Equal as long as nothing was recorded or taken back.
    """
    newest = [func.max(model.id) for model in COLUMNS]
    imports = [func.max(ImportBatch.id), func.count(ImportBatch.undone_at)]
    facts = tuple(session.scalar(select(what)) for what in newest)
    return (*facts, *session.execute(select(*imports)).one())


def read_history(session: Session) -> FactHistory:
    """Read all versions of all facts.

    Parameters
    ----------
    session : Session
        Where to read.

    Returns
    -------
    FactHistory
        As columns.
    """
    version = registry_version(session)
    found = {
        model: columns(session, select(model), ["key", "recorded_at", *names])
        for model, names in COLUMNS.items()
    }
    keys = {model: tuple(sorted(set(table["key"]))) for model, table in found.items()}
    rows: dict[type[Fact], Rows] = {}
    for model, table in found.items():
        own = positions(table["key"], keys[model])
        # Two sources may speak of one key; the one that spoke last counts.
        order = np.lexsort((table["recorded_at"], own))
        table = {name: values[order] for name, values in table.items()}  # noqa: PLW2901
        own = own[order]
        known_from_h = table.pop("recorded_at")
        known_until_h = np.full(own.size, np.inf)
        is_replaced = own[1:] == own[:-1]
        known_until_h[:-1][is_replaced] = known_from_h[1:][is_replaced]
        parent = np.full(own.size, -1)
        if model in PARENT:
            name, parents = PARENT[model]
            parent = positions(table[name], keys[parents])
        column = {**table, "known_from_h": known_from_h, "known_until_h": known_until_h}
        rows[model] = Rows(column, own, parent)
    return FactHistory(keys, rows, version)


class HistoryCache:
    """Keeps the facts in memory and reads them again when the registry has changed.

    Parameters
    ----------
    engine : Engine
        The registry's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._history: FactHistory | None = None

    def current(self) -> FactHistory:
        """Facts as they stand; may be called from any thread.

        Returns
        -------
        FactHistory
            Not older than the call.
        """
        with self._lock, read_session(self._engine) as session:
            if self._history is None or self._history.version != registry_version(session):
                self._history = read_history(session)
            return self._history
