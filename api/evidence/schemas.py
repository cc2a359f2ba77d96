"""Answers about where a number came from."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.shapes import Shape

EvidenceKind = Literal[
    "risk",
    "driver",
    "proposal",
    "health",
    "alarm",
    "visit",
    "work_order",
    "downtime",
    "ticket",
    "payment",
    "usage",
    "contract",
    "samples",
]
"""Everything a number can come from."""


class SampleEnds(Shape):
    """First and last sample of one signal in a window, read from the store just now."""

    signal: str
    unit: str | None
    n_samples: int
    first_at: datetime | None
    first_value: float | None
    last_at: datetime | None
    last_value: float | None
    samples_url: str


class SampleWindow(Shape):
    """Samples of one machine under a number."""

    machine_key: str
    from_at: datetime
    to_at: datetime
    n_samples: int = Field(description="Samples that the store holds for this window now.")
    signals: list[SampleEnds]


class EvidenceNode(Shape):
    """One number or fact, and what it came from."""

    kind: EvidenceKind
    id: str
    url: str = Field(description="Where this node is read by itself.")
    page_url: str | None = Field(description="The page a person would look at.")
    title: str
    at: datetime | None
    label: str | None = Field(description="What it is to the number above it.")
    value: float | None
    unit: str | None
    method: str | None = Field(description="How the number above came from it, in words.")
    facts: dict[str, str | float | bool | None] = Field(description="What is recorded about it.")
    samples: SampleWindow | None
    children: list["EvidenceNode"]
    n_hidden: int = Field(description="Children not shown because of the depth asked for.")
    is_missing: bool = Field(description="True if nothing is recorded under this name.")
