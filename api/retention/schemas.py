"""Answers about customers, their risk of leaving, and the measures beside it."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from api.shapes import INTERVAL_RATIO, Money, Shape


class Driver(Shape):
    """One reason behind a risk: what, how much, in words, and what it came from.

    `log_odds` of all drivers and `baseline_log_odds` add up to the monthly log-odds;
    `money_per_year` of all drivers and the baseline add up to the money at risk.
    """

    id: str = Field(description="`<risk id>.<number>`, also its evidence id.")
    evidence_url: str
    feature: str = Field(description="Name in the churn model.")
    machine_key: str | None = Field(description="Set where the driver is one machine's.")
    value: float
    unit: str
    log_odds: float
    probability_points: float = Field(description="Part of the churn probability it explains.")
    money_per_year: float = Field(description="In the customer's currency; may be below zero.")
    words: str = Field(description="The driver as a sentence, in English.")
    parameters: dict[str, str | float] = Field(
        description="Numbers and names in the sentence, for a translation chosen by `feature`."
    )
    n_evidence: int = Field(description="Facts and snapshots directly under it.")


class RiskSummary(Shape):
    """Risk of one customer leaving, as an interval and in money."""

    id: int
    evidence_url: str
    as_of: datetime = Field(description="Facts recorded after this moment were not used.")
    computed_at: datetime
    horizon_days: int
    churn_probability: float = Field(description="Of leaving within the horizon.")
    lower: float
    upper: float
    interval_ratio: float = INTERVAL_RATIO
    money_at_risk_per_year: Money = Field(description="Churn probability x recurring value.")
    money_at_risk_lower: float
    money_at_risk_upper: float
    top_driver: Driver | None


class RiskDetail(RiskSummary):
    """The risk with all its drivers."""

    customer_key: str
    renewal_on: date | None
    recurring_value_per_year: Money
    baseline_probability: float = Field(description="Of a customer for whom nothing is wrong.")
    baseline_log_odds: float = Field(description="Monthly.")
    baseline_money_per_year: float
    drivers: list[Driver] = Field(description="Largest money first.")
    model_version: str
    definition: str


class CustomerSummary(Shape):
    """One line of the portfolio."""

    key: str
    name: str
    segment: str
    region: str
    is_active: bool
    left_on: date | None
    n_machines: int
    renewal_on: date | None
    days_to_renewal: int | None
    recurring_value_per_year: Money | None
    downtime_h_90d: float
    risk: RiskSummary | None
    note: str | None = Field(description="Why a risk is missing.")


class CustomerMachine(Shape):
    """A machine as its customer's page shows it."""

    key: str
    kind: str
    site_key: str
    site_name: str
    health_snapshot_id: int | None
    health_pct: float | None
    remaining_useful_life_h: float | None
    lower_h: float | None
    upper_h: float | None
    failure_probability_30d: float | None
    expected_downtime_h_30d: float | None
    has_open_alarm: bool
    downtime_h_90d: float


class ContractReading(Shape):
    """A subscription."""

    key: str
    starts_on: date
    ends_on: date
    auto_renew: bool
    notice_days: int
    recurring_value_per_year: Money
    uptime_guarantee_ratio: float | None
    downtime_vendor_share_ratio: float
    response_target_h: float
    outcome: Literal["renewed", "churned"] | None


class TimelineEntry(Shape):
    """Something that happened at a customer."""

    kind: Literal["visit", "downtime", "ticket", "alarm", "payment"]
    id: str
    evidence_url: str
    at: datetime
    machine_key: str | None
    words: str


class FirstTimeFix(Shape):
    """Share of corrective jobs that were fixed by the first visit and stayed fixed."""

    customer_key: str | None
    first_time_fix_ratio: float | None
    lower: float | None
    upper: float | None
    interval_ratio: float = INTERVAL_RATIO
    n_fixed: int
    n_failed: int
    n_pending: int = Field(description="Too recent to say; neither fixed nor failed.")
    repeat_window_days: float
    from_at: datetime
    to_at: datetime
    definition: str
    note: str | None


class Exposure(Shape):
    """Unplanned standstill of some machines in hours and money."""

    customer_key: str | None
    customer_name: str | None
    n_machines: int
    n_downtimes: int
    downtime_h: float
    cost: Money
    vendor_cost: Money = Field(description="Part that the maker bears by contract.")


class DowntimeExposure(Shape):
    """Unplanned standstill, in total by currency and by customer."""

    from_at: datetime
    to_at: datetime
    definition: str
    totals: list[Exposure] = Field(description="One for each currency.")
    customers: list[Exposure] = Field(description="Most costly first.")


class CustomerDetail(CustomerSummary):
    """One customer in full."""

    risk_detail: RiskDetail | None
    contract: ContractReading | None
    machines: list[CustomerMachine]
    exposure_90d: Exposure | None
    first_time_fix: FirstTimeFix
    timeline: list[TimelineEntry] = Field(description="Newest first, the last 180 days.")
