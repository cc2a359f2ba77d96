"""Answers about service proposals."""

from datetime import datetime

from pydantic import Field

from api.shapes import INTERVAL_RATIO, Money, Shape


class WaitingPoint(Shape):
    """What going on one day costs more than going on the cheapest day."""

    day: int = Field(description="Days after `as_of`; 0 is at once.")
    at: datetime
    extra_cost: float = Field(description="In the proposal's currency.")


class ProposalReading(Shape):
    """Which machine to visit, why, by when, and what waiting costs."""

    id: int
    evidence_url: str
    machine_key: str
    kind: str
    site_key: str
    site_name: str
    customer_key: str
    customer_name: str
    as_of: datetime = Field(description="Time of the newest sample behind it.")
    computed_at: datetime
    is_open: bool
    reason: str
    visit_by: datetime
    best_day: int = Field(description="Days after `as_of` at which going costs least.")
    days_to_visit: int = Field(
        description="Whole days from now until `visit_by`; 0 is at once, also once that has passed."
    )
    horizon_days: int
    failure_probability: float = Field(description="Within the horizon, if nobody goes.")
    remaining_useful_life_h: float | None
    lower_h: float | None
    upper_h: float | None
    interval_ratio: float = INTERVAL_RATIO
    health_pct: float | None
    health_snapshot_id: int
    planned_cost: Money = Field(description="Of a planned visit, standstill included.")
    failure_cost: Money = Field(description="Of a failure, repair and standstill included.")
    cost_of_waiting_per_day: Money = Field(
        description="Mean extra cost of each day after the cheapest one, over the week after it."
    )
    waiting_cost: list[WaitingPoint]
