"""How the agent is, as a document for programs and as a page for people."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_agent.oncall.facts import Facts
from edge_agent.oncall.health import reasons, span

Document = dict[str, Any]
"""Plain values as JSON has them."""


def status_document(facts: Facts) -> Document:
    """Write everything as JSON has it.

    Parameters
    ----------
    facts : Facts
        How the agent is.

    Returns
    -------
    dict
        The facts by their names, with ``is_healthy`` and ``reasons``. No secret is in it.
    """
    found = reasons(facts)
    document: Document = {
        "is_healthy": not found,
        "reasons": [{"code": reason.code, "text": reason.text} for reason in found],
    }
    document.update(_plain(facts))
    return document


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a record
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="seconds")
    return str(value) if isinstance(value, Path) else value


def status_text(document: Document) -> str:
    """Write a page for a person.

    Parameters
    ----------
    document : dict
        As of `status_document`.

    Returns
    -------
    str
        What is wrong first, then everything else.
    """
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    is_healthy = document["is_healthy"]
    yield f"{document['agent']}, site {document['site']}: {'well' if is_healthy else 'NOT WELL'}"
    for reason in document["reasons"]:
        yield f"  {reason['code']}: {reason['text']}"
    yield (
        f"running for {span(document['uptime_s'])}, version {document['version']}, "
        f"{document['memory_bytes'] / 1e6:.0f} MB of memory"
    )
    yield from _table(
        ("source", "state", "last delivery", "samples", "why"),
        [
            (
                source["name"],
                source["condition"],
                f"{span(source['silent_s'])} ago" if source["n_samples"] else "never",
                f"{source['n_samples']:,}",
                source["reason"] or "",
            )
            for source in document["sources"]
        ],
    )
    for lane in document["lanes"]:
        trouble = lane["trouble"]
        how = "works" if trouble is None else f"down for {span(lane['trouble_s'])}: {trouble}"
        waiting = f"{lane['n_waiting']:,} samples wait"
        if lane["n_waiting"]:
            waiting += f", the oldest {span(lane['lag_s'])} old"
        yield f"uplink to {document['place']}, lane {lane['name']}: {how}; {waiting}"
    yield from _disk_lines(document["disk"])
    yield from _reload_lines(document["reload"])
    for end in document["certificates"]:
        yield f"certificate: {end['what']}, {end['path']}, until {end['ends_at'][:10]}"
    counts = [
        f"{value} {name}" for name, value in document["counters"].items() if isinstance(value, int)
    ]
    yield f"since it was started: {', '.join(counts)}"


def _disk_lines(disk: Document) -> Iterator[str]:
    counts = disk["counts"]
    if disk["trouble"] is not None:
        yield f"outbox: can't be written for {span(disk['trouble_s'])}: {disk['trouble']}"
    if counts is None:
        yield "outbox: not counted yet"
        return
    yield (
        f"outbox: {counts['n_samples']:,} samples in {counts['n_records']:,} records wait; "
        f"{counts['n_used_bytes'] / 1e6:.1f} of at most {disk['max_bytes'] / 1e6:.0f} MB; "
        f"{counts['n_dropped_samples']:,} samples ever dropped, "
        f"{counts['n_quarantined']:,} entries set aside"
    )
    if disk["free_bytes"] is not None:
        yield f"disk: {disk['free_bytes'] / 1e6:,.0f} MB free"


def _reload_lines(reload: Document) -> Iterator[str]:
    if reload["outcome"] != "none":
        at = datetime.datetime.fromtimestamp(reload["at_ns"] / 1e9, datetime.UTC)
        yield f"settings: {reload['outcome']} at {at:%Y-%m-%d %H:%M:%S} UTC"
    if reload["needs_restart"]:
        yield f"settings that wait for a restart: {', '.join(reload['needs_restart'])}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
