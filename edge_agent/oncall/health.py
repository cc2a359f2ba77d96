"""When the agent is well, and what a person on call should do if it is not: rules, no more.

A reason stands for something that does not mend itself or has lasted too long. None of them means
that samples are lost; where some were, the reason says so.
"""

import datetime
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from edge_agent.oncall.facts import Facts

EARLIEST_SANE: Final = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
"""Devices without a clock of their own begin in 1970 or 2000 until the network tells the time."""

OUTBOX_FULL_RATIO: Final = 0.9
"""Above this share of its cap the outbox is about to drop samples."""

MIN_FREE_BYTES: Final = 50_000_000
"""Less room than this on the disk of the outbox is used up by an hour of a busy site."""

DISK_SILENT_S: Final = 60.0
"""A disk that does not say for so long what is on it hangs."""


class Reason(NamedTuple):
    """Why the agent is not well."""

    code: str
    text: str


def reasons(facts: Facts) -> list[Reason]:
    """Say why the agent is not well.

    Parameters
    ----------
    facts : Facts
        How it is.

    Returns
    -------
    list of Reason
        None if it is well. Each text says what, where and how to mend it.
    """
    return [reason for rule in _RULES for reason in rule(facts)]


def _silent_sources(facts: Facts) -> Iterator[Reason]:
    limit_s = facts.limits.source_silent_s
    for source in facts.sources:
        if limit_s and source.silent_s > limit_s:
            why = source.reason or (
                "it is connected and has nothing to say; look whether the machines run, or make "
                "status.source_silent_s longer"
                if source.condition == "delivering"
                else "it has never delivered; run `staybolt-edge check --connect`"
            )
            yield Reason(
                "source_silent", f"{source.name}: silent for {span(source.silent_s)}: {why}"
            )


def _uplink_down(facts: Facts) -> Iterator[Reason]:
    for lane in facts.lanes:
        if lane.trouble is not None and lane.trouble_s > facts.limits.uplink_down_s:
            text = f"lane {lane.name}: nothing taken for {span(lane.trouble_s)}: {lane.trouble}"
            yield Reason("uplink_down", text)


def _disk(facts: Facts) -> Iterator[Reason]:
    disk = facts.disk
    if disk.trouble is not None:
        yield Reason(
            "disk_failing",
            f"outbox: can't be written for {span(disk.trouble_s)}: {disk.trouble}",
        )
    if disk.unanswered_s > DISK_SILENT_S:
        yield Reason(
            "disk_silent",
            f"outbox: the disk has not answered for {span(disk.unanswered_s)}; look at the "
            "kernel's log (`dmesg`) and at the disk",
        )
    is_full = disk.counts is not None and disk.counts.is_disk_full
    if disk.free_bytes is not None and (is_full or disk.free_bytes < MIN_FREE_BYTES):
        yield Reason(
            "disk_full",
            f"outbox: {disk.free_bytes / 1e6:.0f} MB are left on its disk; make room, or set a "
            "smaller outbox.max_bytes",
        )
    if disk.counts is not None and disk.counts.n_used_bytes > OUTBOX_FULL_RATIO * disk.max_bytes:
        share = disk.counts.n_used_bytes / disk.max_bytes
        yield Reason(
            "outbox_nearly_full",
            f"outbox: {share:.0%} full; when it is full samples are dropped and counted; bring the "
            "uplink back, or set a larger outbox.max_bytes",
        )


def _reload(facts: Facts) -> Iterator[Reason]:
    if facts.reload.outcome == "refused":
        yield Reason(
            "reload_refused",
            "the settings file was refused and the agent goes on with the settings before; "
            f"{facts.reload.problem}",
        )


def _certificates(facts: Facts) -> Iterator[Reason]:
    for end in facts.certificates:
        if end.ends_soon(facts.now):
            verb = "ended" if end.ends_at < facts.now else "ends"
            yield Reason(
                "certificate_ends",
                f"{end.what}: {end.path} {verb} on {end.ends_at:%Y-%m-%d}; renew it",
            )


def _clock(facts: Facts) -> Iterator[Reason]:
    if facts.now < EARLIEST_SANE:
        yield Reason(
            "clock_wrong",
            f"the clock of this device says {facts.now:%Y-%m-%d %H:%M} UTC; set it, and see that "
            "it is kept right (NTP)",
        )


_RULES: Final[tuple[Callable[[Facts], Iterator[Reason]], ...]] = (
    _silent_sources,
    _uplink_down,
    _disk,
    _reload,
    _certificates,
    _clock,
)


def span(seconds: float) -> str:
    """Say a duration as people do.

    Parameters
    ----------
    seconds : float
        The duration. [s]

    Returns
    -------
    str
        In the unit that suits it.

    Examples
    --------
    >>> span(12), span(600), span(90_000)
    ('12 s', '10 min', '25 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
