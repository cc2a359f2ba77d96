r"""The agent's figures in the text format that Prometheus reads (exposition format 0.0.4).

Every field of `edge_agent.counters.Counters` becomes a metric by itself: a new counter needs
nothing here. Names and meanings stand in ``docs/reference/edge-metrics.md``, written from this
module.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from edge_agent.counters import Counters
from edge_agent.oncall.facts import Facts
from edge_agent.oncall.health import reasons

PREFIX: Final = "staybolt_edge_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

GAUGE_FIELDS: Final = frozenset({"bad_nodes"})
"""Fields of `Counters` that can fall as well as rise."""


class Metric(NamedTuple):
    """One metric: its name, kind, meaning and label."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    label: str | None = None


Samples = Mapping[str, float] | Mapping[None, float]
"""Value of a metric for each value of its label; None for a metric without label."""

_FIXED: Final = {
    metric.name: metric
    for metric in (
        Metric("build_info", "gauge", "Always 1; the label says which version runs.", "version"),
        Metric("up_seconds", "gauge", "Time since the agent was started."),
        Metric("memory_bytes", "gauge", "Resident memory of the agent's main process."),
        Metric("healthy", "gauge", "1 if `/healthz` answers 200, else 0."),
        Metric("reasons", "gauge", "Reasons not to be healthy, by their code.", "code"),
        Metric("source_delivering", "gauge", "1 if the source delivers.", "source"),
        Metric("source_silent_seconds", "gauge", "Time since the source delivered last.", "source"),
        Metric("source_samples_total", "counter", "Samples the source delivered.", "source"),
        Metric("uplink_up", "gauge", "1 if the store takes what this lane sends.", "lane"),
        Metric(
            "uplink_down_seconds", "gauge", "Time since the store stopped taking; 0 if it takes.",
            "lane",
        ),
        Metric(
            "uplink_in_flight_records", "gauge", "Records that the store has not answered for.",
            "lane",
        ),
        Metric("uplink_waiting_samples", "gauge", "Samples that wait for this lane.", "lane"),
        Metric(
            "uplink_lag_seconds", "gauge", "Age of the oldest waiting sample, else 0.", "lane",
        ),
        Metric("outbox_writable", "gauge", "1 if the outbox can be written."),
        Metric("outbox_records", "gauge", "Records that wait for the store."),
        Metric("outbox_samples", "gauge", "Samples that wait for the store."),
        Metric("outbox_bytes", "gauge", "Bytes in use in the files of the outbox."),
        Metric("outbox_file_bytes", "gauge", "Bytes that the files of the outbox take."),
        Metric("outbox_max_bytes", "gauge", "Cap of the outbox (`outbox.max_bytes`)."),
        Metric("outbox_quarantined", "gauge", "Entries that were set aside with their reason."),
        Metric("outbox_dropped_samples_total", "counter", "Samples ever dropped for room."),
        Metric("outbox_dropped_records_total", "counter", "Records ever dropped for room."),
        Metric(
            "outbox_dropped_quarantined_total", "counter",
            "Entries of the quarantine ever dropped for room.",
        ),
        Metric("parcels_in_memory", "gauge", "Deliveries that are not durable yet."),
        Metric("disk_free_bytes", "gauge", "Room left on the disk of the outbox."),
        Metric(
            "certificate_ends_timestamp_seconds", "gauge",
            "When the certificate ends, in seconds since 1970.", "certificate",
        ),
        Metric("settings_refused", "gauge", "1 if the last reload was refused."),
        Metric("settings_need_restart", "gauge", "Options that wait for a restart."),
    )
}  # fmt: skip


@functools.cache
def counter_metrics() -> dict[str, Metric]:
    """Describe the metrics that come from `Counters`.

    Returns
    -------
    dict of str to Metric
        By the name of the field; the meaning is the field's own docstring.
    """
    (definition,) = ast.parse(inspect.getsource(Counters)).body
    meanings = {
        field.target.id: " ".join(str(said.value.value).split())
        for field, said in itertools.pairwise(getattr(definition, "body", ()))
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
    }
    labels = {field.name for field in dataclasses.fields(Counters) if field.type is not int}
    return {
        field.name: Metric(
            f"{field.name}" if field.name in GAUGE_FIELDS else f"{field.name}_total",
            "gauge" if field.name in GAUGE_FIELDS else "counter",
            meanings.get(field.name, field.name),
            "status" if field.name in labels else None,
        )
        for field in dataclasses.fields(Counters)
    }


def all_metrics() -> list[Metric]:
    """Describe every metric.

    Returns
    -------
    list of Metric
        In the order in which they are told.
    """
    return [*_FIXED.values(), *counter_metrics().values()]


def expose(facts: Facts) -> str:
    """Write all figures as Prometheus reads them.

    Parameters
    ----------
    facts : Facts
        How the agent is.

    Returns
    -------
    str
        One block for each metric that has a value now.
    """
    values: dict[str, Samples] = _values(facts)
    lines: list[str] = []
    for metric in all_metrics():
        samples = values.get(metric.name, {})
        if samples:
            name = PREFIX + metric.name
            lines.append(f"# HELP {name} {_escaped(metric.meaning, quote=False)}")
            lines.append(f"# TYPE {name} {metric.kind}")
            lines += [
                f"{name}{_labels(metric, label)} {value:.17g}" for label, value in samples.items()
            ]
    return "\n".join(lines) + "\n"


def _values(facts: Facts) -> dict[str, Samples]:
    disk, found = facts.disk, reasons(facts)
    values: dict[str, Samples] = {
        "build_info": {facts.version: 1},
        "up_seconds": {None: facts.uptime_s},
        "memory_bytes": {None: facts.memory_bytes},
        "healthy": {None: not found},
        "reasons": {
            code: sum(reason.code == code for reason in found)
            for code in sorted({reason.code for reason in found})
        },
        "source_delivering": {s.name: s.condition == "delivering" for s in facts.sources},
        "source_silent_seconds": {s.name: s.silent_s for s in facts.sources},
        "source_samples_total": {s.name: s.n_samples for s in facts.sources},
        "uplink_up": {lane.name: lane.trouble is None for lane in facts.lanes},
        "uplink_down_seconds": {lane.name: lane.trouble_s for lane in facts.lanes},
        "uplink_in_flight_records": {lane.name: lane.n_in_flight for lane in facts.lanes},
        "uplink_waiting_samples": {lane.name: lane.n_waiting for lane in facts.lanes},
        "uplink_lag_seconds": {lane.name: lane.lag_s for lane in facts.lanes},
        "outbox_writable": {None: disk.trouble is None},
        "outbox_max_bytes": {None: disk.max_bytes},
        "parcels_in_memory": {None: disk.n_parcels_in_memory},
        "certificate_ends_timestamp_seconds": {
            f"{end.what} {end.path.name}": end.ends_at.timestamp() for end in facts.certificates
        },
        "settings_refused": {None: facts.reload.outcome == "refused"},
        "settings_need_restart": {None: len(facts.reload.needs_restart)},
        **dict(_outbox_values(facts)),
    }
    for field, metric in counter_metrics().items():
        value = facts.counters[field]
        values[metric.name] = value if isinstance(value, Mapping) else {None: value}
    return values


def _outbox_values(facts: Facts) -> Iterator[tuple[str, Samples]]:
    if facts.disk.free_bytes is not None:
        yield "disk_free_bytes", {None: facts.disk.free_bytes}
    counts = facts.disk.counts
    if counts is not None:
        yield "outbox_records", {None: counts.n_records}
        yield "outbox_samples", {None: counts.n_samples}
        yield "outbox_bytes", {None: counts.n_used_bytes}
        yield "outbox_file_bytes", {None: counts.n_bytes}
        yield "outbox_quarantined", {None: counts.n_quarantined}
        yield "outbox_dropped_samples_total", {None: counts.n_dropped_samples}
        yield "outbox_dropped_records_total", {None: counts.n_dropped_records}
        yield "outbox_dropped_quarantined_total", {None: counts.n_dropped_quarantined}


def _labels(metric: Metric, label: str | None) -> str:
    if metric.label is None or label is None:
        return ""
    return f'{{{metric.label}="{_escaped(label, quote=True)}"}}'


def _escaped(text: str, *, quote: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text
