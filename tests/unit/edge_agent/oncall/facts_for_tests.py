"""Facts of an agent that is well, to be made unwell in one way."""

import dataclasses
import datetime
from typing import Any

from edge_agent.counters import Counters
from edge_agent.oncall.facts import DiskFacts, Facts, LaneFacts, Limits, SourceFacts
from edge_agent.records import OutboxCounts
from edge_agent.reload import ReloadOutcome

NOW = datetime.datetime(2026, 6, 1, 12, 0, tzinfo=datetime.UTC)


def counts(**changed: Any) -> OutboxCounts:  # noqa: ANN401 - any field
    names = [field.name for field in dataclasses.fields(OutboxCounts)]
    return OutboxCounts(**{**dict.fromkeys(names, 0), **changed})


def disk(**changed: Any) -> DiskFacts:  # noqa: ANN401 - any field
    well = DiskFacts(
        trouble=None,
        trouble_s=0.0,
        n_parcels_in_memory=0,
        max_bytes=1_000_000,
        free_bytes=10**9,
        counts=counts(n_records=2, n_samples=20, n_bytes=700, n_used_bytes=700),
        unanswered_s=0.0,
    )
    return dataclasses.replace(well, **changed)


def facts(**changed: Any) -> Facts:  # noqa: ANN401 - any field
    counters = Counters(received=1000, stored=990)
    well = Facts(
        agent="edge-1",
        site="mill-7",
        version="1.2.3",
        now=NOW,
        uptime_s=3600.0,
        memory_bytes=80_000_000,
        place="https://ingest:8443",
        sources=(SourceFacts("opcua hall-1", "delivering", 0.5, 1000, None),),
        lanes=(LaneFacts("alarm", None, 0.0, 0), LaneFacts("backlog", None, 0.0, 3, 20, 1.5)),
        disk=disk(),
        certificates=(),
        reload=ReloadOutcome(),
        counters={f.name: getattr(counters, f.name) for f in dataclasses.fields(counters)},
        limits=Limits(source_silent_s=300.0, uplink_down_s=300.0),
    )
    return dataclasses.replace(well, **changed)
