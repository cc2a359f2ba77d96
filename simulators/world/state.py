"""What the simulated world holds while it plays: people, machines, and the facts they leave.

Times are float64 hours since history began (``_h``). Each fact carries the delays after which
the maker's office knows of it, so that the writing of tables needs no more dice.
"""

import bisect
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np

from simulators.world.cast import Company, Person, Region, ScriptedFailure
from simulators.world.law import (
    HOURS_PER_DAY,
    MONTH_H,
    N_LEAD_IN_MONTHS,
    N_MONTHS,
    FloatArray,
    KindLaw,
)
from simulators.world.relation import Relation

QUARTER_H = 90 * HOURS_PER_DAY
WORKING_DAY_H = (6.0, 20.0)
"""First and last hour of the local day at which a technician arrives. [h]"""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Turns hours of history into moments and back.

    Parameters
    ----------
    starts_at : datetime
        When history begins, aware UTC.
    n_months : int
        Months in which customers may leave, after the lead-in.
    """

    starts_at: datetime
    n_months: int = N_MONTHS

    @property
    def history_h(self) -> float:
        """Length of history, lead-in included, in h."""
        return (N_LEAD_IN_MONTHS + self.n_months) * MONTH_H

    def moment(self, time_h: float) -> datetime:
        """Name the moment, to the whole second below.

        Parameters
        ----------
        time_h : float
            Hours since history began. [h]

        Returns
        -------
        datetime
            Aware UTC.
        """
        return self.starts_at + timedelta(seconds=math.floor(time_h * 3600.0))

    def day(self, time_h: float) -> date:
        """Name the UTC day.

        Parameters
        ----------
        time_h : float
            Hours since history began. [h]

        Returns
        -------
        date
            The day it lies in.
        """
        return self.moment(time_h).date()

    def midnight_h(self, day: date) -> float:
        """Say when a UTC day begins.

        Parameters
        ----------
        day : date
            The day.

        Returns
        -------
        float
            Hours since history began, below zero for days before. [h]
        """
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (midnight - self.starts_at) / timedelta(hours=1)

    def working_h(self, time_h: float, region: Region) -> float:
        """Find the first moment from here on at which a technician would arrive.

        Parameters
        ----------
        time_h : float
            Hours since history began. [h]
        region : Region
            Whose day it is.

        Returns
        -------
        float
            The same time in the working day, else the next morning. [h]
        """
        start, end = WORKING_DAY_H
        local_h = (time_h - self.midnight_h(self.starts_at.date()) + region.utc_offset_h) % 24.0
        return time_h if start <= local_h < end else time_h + (start - local_h) % 24.0


@dataclass(slots=True)
class Job:
    """A work order."""

    key: str
    machine_key: str
    kind: str
    fault_code: str | None
    opened_h: float
    closed_h: float
    delay_h: float
    closing_delay_h: float


@dataclass(slots=True)
class Visit:
    """A visit for a job."""

    key: str
    job: Job
    technician_key: str
    arrived_h: float
    left_h: float
    is_resolved: bool
    incomplete_reason: str | None
    delay_h: float


@dataclass(slots=True)
class Standstill:
    """A downtime of one machine."""

    key: str
    job: Job
    started_h: float
    ended_h: float
    is_planned: bool
    cause: str
    ending_delay_h: float


@dataclass(slots=True)
class Ticket:
    """A question or complaint."""

    key: str
    machine_key: str | None
    kind: str
    opened_h: float
    closed_h: float
    delay_h: float


@dataclass(slots=True)
class Invoice:
    """A bill; `paid_h` is infinite while nothing is known of a payment."""

    key: str
    contract_key: str
    issued_h: float
    due_h: float
    amount_eur: float
    paid_h: float = math.inf
    whim_days: float = 0.0
    """What the customer adds to its habit this time. [d]"""
    paid_delay_h: float = 0.0


@dataclass(slots=True)
class Term:
    """One year of a subscription; it is decided upon only if the customer is still there."""

    key: str
    starts_on: date
    ends_on: date
    starts_h: float
    ends_h: float
    signed_h: float
    signing_delay_h: float
    decided_h: float
    value_eur_per_year: float


@dataclass(slots=True)
class MachineState:
    """A machine, the life it is in, and all that happened to it."""

    key: str
    law: KindLaw
    chance: np.random.Generator
    installed_on: date
    downtime_cost_eur_per_h: float
    planned_visit_cost_eur: float
    planned_visit_h: float
    repair_cost_eur: float
    repair_h: float
    chance_ends_h: float = math.inf
    """Failures after this come by script only."""
    planned_ends_h: float = math.inf
    life_number: int = 0
    life_starts_h: float = 0.0
    age_days: float = 0.0
    """Age at heart when the present life began; see Kijima in `law`."""
    busy_until_h: float = 0.0
    returning_fault: str | None = None
    jobs: list[Job] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    standstills: list[Standstill] = field(default_factory=list)


@dataclass(slots=True)
class CustomerState:
    """A customer: what it is like, how it feels, and what it did."""

    number: int
    key: str
    company: Company
    chance: np.random.Generator
    frailty: float
    leaving_draw: FloatArray
    """Uniform draws of shape (n_months, 2): whether, and when in the month."""
    usage_shock: FloatArray
    usage_trend_per_year: float
    pace: FloatArray
    """How many times faster than usual its machines age, for each 90 days."""
    payment_habit_days: float
    response_target_h: float
    notice_days: int
    auto_renew: bool
    pricing_model: str
    uptime_guarantee_ratio: float | None
    vendor_share_ratio: float
    joins_h: float
    may_leave: bool
    terms: list[Term]
    invoices: list[Invoice]
    machines: list[MachineState]
    usage_log_level: FloatArray
    service_burden: float = 0.0
    """Log-odds that poor service adds at the newest landmark."""
    engagement_ratio: float = 1.0
    """How ready it still is to write to us; see `custom`."""
    left_h: float = math.inf
    leaving_reason: str = ""
    tickets: list[Ticket] = field(default_factory=list)

    def is_active(self, time_h: float) -> bool:
        """Whether it is a customer then.

        Parameters
        ----------
        time_h : float
            Hours since history began. [h]

        Returns
        -------
        bool
            True from joining until leaving.
        """
        return self.joins_h <= time_h < self.left_h


@dataclass(slots=True)
class TechnicianState:
    """A technician, how able they are, and when they are taken."""

    key: str
    person: Person
    skilled_probability: float
    bookings_h: list[tuple[float, float]] = field(default_factory=list)
    """Rising, none within another."""

    def is_free(self, from_h: float, to_h: float) -> bool:
        """Whether nothing is booked in between.

        Parameters
        ----------
        from_h, to_h : float
            The time wanted. [h]

        Returns
        -------
        bool
            True if they could come.
        """
        after = bisect.bisect_left(self.bookings_h, (from_h,))
        begins_in_between = after < len(self.bookings_h) and self.bookings_h[after][0] < to_h
        return not begins_in_between and (after == 0 or self.bookings_h[after - 1][1] <= from_h)

    def book(self, from_h: float, to_h: float) -> None:
        """Take a time that is free.

        Parameters
        ----------
        from_h, to_h : float
            The time. [h]
        """
        bisect.insort(self.bookings_h, (from_h, to_h))


@dataclass(frozen=True, slots=True)
class TruthRow:
    """The true risk of one customer at one landmark."""

    customer_key: str
    month: int
    landmark_h: float
    hazard: float
    may_leave: bool
    has_left: bool | None
    """Whether it left within the month; None where the month lies after history."""
    frailty: float
    features: FloatArray


@dataclass(slots=True)
class World:
    """Everything there is."""

    calendar: Calendar
    customers: list[CustomerState]
    technicians: list[TechnicianState]
    scripted: list[tuple[ScriptedFailure, CustomerState, MachineState, float]]
    """Failures by script, with the hour of each."""
    open_jobs_h: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Corrective jobs by region: opened and closed."""
    truth: list[TruthRow] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    """What happens beside machines, by number of the customer."""
    _crews: dict[str, list[TechnicianState]] = field(default_factory=dict)

    def crew(self, region: Region) -> list[TechnicianState]:
        """Name the technicians of a region.

        Parameters
        ----------
        region : Region
            The region.

        Returns
        -------
        list of TechnicianState
            In the order of their numbers.
        """
        if not self._crews:
            for one in self.technicians:
                self._crews.setdefault(one.person.region.name, []).append(one)
        return self._crews[region.name]
