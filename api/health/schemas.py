"""Answers about machines."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from api.shapes import INTERVAL_RATIO, Money, Shape

MachineState = Literal["alarm", "watch", "normal", "unknown"]
"""``alarm``: an alarm is open. ``watch``: half worn, or likely to fail within a week.
``unknown``: connected but not yet judged, or not connected."""


class RemainingLife(Shape):
    """How long a machine has left, as an interval."""

    median_h: float | None = Field(description="None where there is too little to go by.")
    lower_h: float | None
    upper_h: float | None
    interval_ratio: float = INTERVAL_RATIO


class Contribution(Shape):
    """How far one signal stands from healthy."""

    signal: str
    unit: str | None
    robust_z: float = Field(description="Distance from the healthy centre in healthy spreads.")


class SurvivalPoint(Shape):
    """Probability that a machine still runs some time ahead."""

    ahead_h: float
    survival_probability: float


class SamplesUsed(Shape):
    """Which samples an answer was computed from."""

    evidence_id: str
    evidence_url: str
    from_at: datetime
    to_at: datetime
    n_samples: int | None = Field(description="None where they were not counted.")


class HealthReading(Shape):
    """What is thought of one machine at one moment."""

    snapshot_id: int
    evidence_url: str
    as_of: datetime = Field(description="Time of the newest sample used.")
    computed_at: datetime
    health_pct: float | None = Field(description="100 is like new, 0 is failed.")
    anomaly_score_ratio: float | None = Field(description="0 is as when healthy, 1 is far from it.")
    remaining_useful_life: RemainingLife
    failure_probability_30d: float | None
    contributions: list[Contribution]
    survival: list[SurvivalPoint]
    samples: SamplesUsed
    note: str | None = Field(description="Why an answer is missing or weak.")
    model_version: str


class AlarmReading(Shape):
    """A machine found to be going wrong."""

    key: str
    evidence_url: str
    machine_key: str
    signal: str
    unit: str | None
    is_open: bool
    raised_at: datetime
    cleared_at: datetime | None
    score_ratio: float
    message: str
    samples: SamplesUsed
    model_version: str


class MachineSummary(Shape):
    """One line of the fleet."""

    key: str
    kind: str
    model: str
    site_key: str
    site_name: str
    customer_key: str
    customer_name: str
    is_connected: bool = Field(description="Whether telemetry of it has ever been stored.")
    newest_sample_at: datetime | None
    state: MachineState
    health: HealthReading | None
    open_alarm: AlarmReading | None


class LatestValue(Shape):
    """Newest sample of one signal."""

    signal: str
    unit: str | None
    at: datetime | None
    value: float | None
    quality: Literal["good", "uncertain", "bad"] | None
    healthy_centre: float | None = Field(description="Middle of the healthy band, in the unit.")
    healthy_spread: float | None = Field(description="Half width of the healthy band.")
    robust_z: float | None = Field(description="Where the health reading put the signal.")
    samples_url: str


class ModelCard(Shape):
    """How the health model of a kind was made and how good it proved."""

    kind: str
    version: str
    created_at: datetime
    card: dict[str, object]


class MachineDetail(MachineSummary):
    """One machine in full."""

    installed_on: date
    downtime_cost_per_h: Money
    planned_visit_cost: Money
    planned_visit_h: float
    unplanned_repair_cost: Money
    unplanned_repair_h: float
    signals: list[LatestValue]
    model_card: ModelCard | None


class SampleSeries(Shape):
    """A window of one signal as columns, extremes kept."""

    machine_key: str
    signal: str
    unit: str | None
    from_at: datetime
    to_at: datetime
    n_samples: int = Field(description="Samples in the window before thinning out.")
    is_thinned: bool = Field(description="True if only extremes of each time slice are given.")
    time_s: list[float] = Field(description="Seconds since 1970-01-01 UTC, rising.")
    value: list[float | None] = Field(description="In the unit; null where bad carried none.")
    quality: list[int] = Field(description="0 good, 1 uncertain, 2 bad.")


class HealthHistory(Shape):
    """Health of one machine through time, as columns."""

    machine_key: str
    interval_ratio: float = INTERVAL_RATIO
    snapshot_id: list[int]
    time_s: list[float] = Field(description="Seconds since 1970-01-01 UTC, rising.")
    health_pct: list[float | None]
    anomaly_score_ratio: list[float | None]
    remaining_useful_life_h: list[float | None]
    lower_h: list[float | None]
    upper_h: list[float | None]
