"""How the agent is at one moment, as plain values: what status, health, metrics are made from."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.oncall.certificates import CertificateEnd
from edge_agent.records import OutboxCounts
from edge_agent.reload import ReloadOutcome
from edge_agent.watches import SourceCondition


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One source."""

    name: str
    condition: SourceCondition
    silent_s: float
    n_samples: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """One lane of the uplink.

    Parameters
    ----------
    name : str
        ``alarm`` or ``backlog``.
    trouble : str or None
        Why the store takes nothing, None if it does.
    trouble_s : float
        How long it has not. [s]
    n_in_flight : int
        Records that the store has not answered for.
    n_waiting : int
        Samples that wait in the outbox.
    lag_s : float
        Age of the oldest sample among them; 0 if none waits. [s]
    """

    name: str
    trouble: str | None
    trouble_s: float
    n_in_flight: int
    n_waiting: int = 0
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The outbox and the disk it is on.

    Parameters
    ----------
    trouble : str or None
        Why nothing can be written, None if it can.
    trouble_s : float
        How long it can't. [s]
    n_parcels_in_memory : int
        What sources delivered and the disk does not have yet.
    max_bytes : int
        Cap of the outbox. [byte]
    free_bytes : int or None
        Room left for this user; None if not known. [byte]
    counts : OutboxCounts or None
        What is in it; None if it has not been counted yet.
    unanswered_s : float
        How long the disk has been asked for the counts without an answer. [s]
    """

    trouble: str | None
    trouble_s: float
    n_parcels_in_memory: int
    max_bytes: int
    free_bytes: int | None
    counts: OutboxCounts | None
    unanswered_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """When something is a reason to call the agent unhealthy; see `StatusSettings`."""

    source_silent_s: float
    uplink_down_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is told about the agent.

    Parameters
    ----------
    agent, site, version : str
        Which agent.
    now : datetime
        Aware wall clock.
    uptime_s : float
        Since the agent was started. [s]
    memory_bytes : int
        Resident memory of this process. [byte]
    place : str
        Where samples go.
    sources : tuple of SourceFacts
        In the order of the settings.
    lanes : tuple of LaneFacts
        The most urgent first.
    disk : DiskFacts
        The outbox.
    certificates : tuple of CertificateEnd
        The soonest end first.
    reload : ReloadOutcome
        The last reload.
    counters : mapping of str to (int or mapping of str to int)
        `edge_agent.counters.Counters`, by name.
    limits : Limits
        When something is a reason to be unhealthy.
    """

    agent: str
    site: str
    version: str
    now: datetime.datetime
    uptime_s: float
    memory_bytes: int
    place: str
    sources: tuple[SourceFacts, ...]
    lanes: tuple[LaneFacts, ...]
    disk: DiskFacts
    certificates: tuple[CertificateEnd, ...]
    reload: ReloadOutcome
    counters: Mapping[str, int | Mapping[str, int]]
    limits: Limits

    @property
    def lag_s(self) -> float:
        """Age of the oldest sample that waits in any lane, in seconds."""
        return max((lane.lag_s for lane in self.lanes), default=0.0)
