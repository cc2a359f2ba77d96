"""What the world holds of relations beside machines. Times are hours of history."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Champion:
    """Who speaks for us at a customer; `from_h` and `to_h` are hours of history."""

    key: str
    from_h: float
    to_h: float


@dataclass(frozen=True, slots=True)
class TierChange:
    """A contract that becomes larger or smaller."""

    key: str
    at_h: float
    delta_ratio: float


@dataclass(frozen=True, slots=True)
class Milestone:
    """Something a new customer wants to have reached; `done_h` is infinite if it never is."""

    key: str
    name: str
    due_h: float
    done_h: float


@dataclass(frozen=True, slots=True)
class Relation:
    """All of one customer."""

    champions: tuple[Champion, ...]
    offers_h: tuple[float, ...]
    offer_price_ratio: tuple[float, ...]
    tier_changes: tuple[TierChange, ...]
    milestones: tuple[Milestone, ...]
