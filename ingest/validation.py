"""Which samples are taken, and why the others are set aside.

The grammar of a line has been read by then (`ingest.telemetry.line_protocol`); here it is asked
whether the sample can be true: does the machine exist, is the name one that is safe everywhere,
is the value a number, can the machine have measured it at that time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.ports import MachineCatalogue
from ingest.telemetry import (
    NAME_PATTERN,
    DecodedLines,
    Quality,
    RejectedLine,
    Series,
    TelemetryBatch,
    is_legal_name,
)

NS_PER_S: Final = 1_000_000_000

UNKNOWN_MACHINE: Final = "unknown machine "
"""Begins the reason for lines of machines that nobody has confirmed; their name follows."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ValidationLimits:
    """How far from now a sample's own time may lie.

    Parameters
    ----------
    max_future_s : float
        Clocks of machines run ahead by seconds; ten minutes is a wrong clock or zone. [s]
    max_past_s : float
        Ten years: an outbox or an import may be old, a time in 1970 is a clock never set. [s]
    """

    max_future_s: float = 600.0
    max_past_s: float = 10 * 365.25 * 86_400.0

    def within(self, raw_days: float | None) -> "ValidationLimits":
        """Reach back no further than samples are kept.

        Parameters
        ----------
        raw_days : float or None
            How long they are kept; None for ever. [days]

        Returns
        -------
        ValidationLimits
            The narrower limits.
        """
        if raw_days is None:
            return self
        return replace(self, max_past_s=min(self.max_past_s, raw_days * 86_400.0))


@dataclass(frozen=True, slots=True, eq=False)
class ValidatedLines:
    """What is taken and what is set aside.

    Parameters
    ----------
    accepted : TelemetryBatch
        Samples to store, in the order they came; its series table holds only what they use.
    line_number : ndarray of int64, shape (n_accepted,)
        Line that each accepted sample came from, from 1.
    set_aside : tuple of RejectedLine
        Lines that were not taken, in the order they came: also those that decoding refused.
    unknown : tuple of (Series, int)
        Series of unknown machines, and how many samples of each were set aside for that alone.
    """

    accepted: TelemetryBatch
    line_number: npt.NDArray[np.int64]
    set_aside: tuple[RejectedLine, ...]
    unknown: tuple[tuple[Series, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Fault:
    """A rule that was broken: by which samples, and how to tell each of them."""

    is_broken: BoolArray
    reason: Callable[[int], str]
    remedy: str
    is_of_unknown: bool = False


def validate_lines(
    decoded: DecodedLines,
    catalogue: MachineCatalogue,
    limits: ValidationLimits,
    *,
    now_ns: int,
    site: str | None = None,
) -> ValidatedLines:
    """Split what was decoded into samples to store and lines to set aside.

    Parameters
    ----------
    decoded : DecodedLines
        A body of line protocol, read.
    catalogue : MachineCatalogue
        Which machines may send.
    limits : ValidationLimits
        How far from now a sample's own time may lie.
    now_ns : int
        The present. [ns since 1970-01-01 UTC]
    site : str, optional
        Site that the sender belongs to; None takes the lines of any.

    Returns
    -------
    ValidatedLines
        Every sample is either accepted or its line is set aside with the first reason that holds;
        a line with several signals loses only the ones at fault.
    """
    batch = decoded.batch
    faults = [
        *_name_faults(batch),
        *([] if site is None else _site_faults(batch, site)),
        *_machine_faults(batch, catalogue),
        *_sample_faults(batch, limits, now_ns),
    ]
    is_good = np.ones(len(batch), dtype=np.bool_)
    told: dict[int, tuple[str, str]] = {}
    unknown: list[tuple[Series, int]] = []
    for fault in faults:
        rows = np.flatnonzero(fault.is_broken & is_good)
        for row in rows.tolist():
            told[row] = (fault.reason(row), fault.remedy)
        if fault.is_of_unknown:
            counts = np.bincount(batch.series_index[rows], minlength=len(batch.series)).tolist()
            unknown = [(one, n) for one, n in zip(batch.series, counts, strict=True) if n]
        is_good &= ~fault.is_broken
    if not told and not decoded.rejected:
        return ValidatedLines(batch, decoded.line_number, ())
    # A line with many signals at fault for the same reason is set aside once.
    why = dict.fromkeys((int(decoded.line_number[row]), *told[row]) for row in sorted(told))
    lines = decoded.lines(number for number, _, _ in why)
    set_aside = [
        RejectedLine(number, line, reason, remedy)
        for (number, reason, remedy), line in zip(why, lines, strict=True)
    ]
    set_aside.extend(decoded.rejected)
    set_aside.sort(key=lambda rejected: rejected.line_number)
    return ValidatedLines(
        _compact(batch.take(is_good)),
        decoded.line_number[is_good],
        tuple(set_aside),
        tuple(unknown),
    )


def _name_faults(batch: TelemetryBatch) -> Iterator[_Fault]:
    """Judge each series once, however many samples it has."""
    part_at_fault = [_illegal_part(series) for series in batch.series]
    if any(part_at_fault):
        is_illegal = np.array([part is not None for part in part_at_fault])

        def illegal_name(row: int) -> str:
            series = batch.series[batch.series_index[row]]
            part = part_at_fault[batch.series_index[row]] or "name"
            return f"{part} {getattr(series, part)!r} is not a legal name"

        yield _Fault(
            is_illegal[batch.series_index],
            illegal_name,
            f"name it {NAME_PATTERN}: letters, digits and _ . - , beginning with a letter or digit",
        )


def _machine_faults(batch: TelemetryBatch, catalogue: MachineCatalogue) -> Iterator[_Fault]:
    """Find samples of machines that nobody has confirmed."""
    is_known = {series.machine: catalogue.is_known(series.machine) for series in batch.series}
    if not all(is_known.values()):
        is_unknown = np.array([not is_known[series.machine] for series in batch.series])
        yield _Fault(
            is_unknown[batch.series_index],
            lambda row: UNKNOWN_MACHINE + batch.series[batch.series_index[row]].machine,
            "add the machine to the registry (or confirm it with `staybolt-ingest machines`), and "
            "the line is tried again by itself; or mend the machine tag",
            is_of_unknown=True,
        )


def _site_faults(batch: TelemetryBatch, site: str) -> Iterator[_Fault]:
    """Find samples that claim to be of another site than their sender."""
    is_foreign = np.array([series.site != site for series in batch.series], dtype=np.bool_)
    if is_foreign.any():
        yield _Fault(
            is_foreign[batch.series_index],
            lambda row: f"site {batch.series[batch.series_index[row]].site} is not the sender's",
            f"this sender belongs to site {site}: mend the site tag, or send as the other site",
        )


def _illegal_part(series: Series) -> str | None:
    for part, name in series._asdict().items():
        if not is_legal_name(name):
            return str(part)
    return None


def _sample_faults(
    batch: TelemetryBatch, limits: ValidationLimits, now_ns: int
) -> Iterator[_Fault]:
    yield _Fault(
        np.isinf(batch.value),
        lambda row: f"value {batch.value[row]} is not finite",
        "leave the value out and send quality=2i for a bad sample",
    )
    yield _Fault(
        np.isnan(batch.value) & (batch.quality != Quality.BAD),
        lambda row: f"no value, yet quality {batch.quality[row]} says it can be trusted",
        "send a value, or quality=2i where the machine gave none",
    )
    yield _Fault(
        batch.source_time_ns > now_ns + round(limits.max_future_s * NS_PER_S),
        lambda row: (
            f"time is {(int(batch.source_time_ns[row]) - now_ns) / NS_PER_S:.0f} s in the future"
        ),
        "check the machine's clock and time zone, and that precision fits the timestamps; "
        f"at most {limits.max_future_s:.0f} s are allowed (max_future_s)",
    )
    yield _Fault(
        batch.source_time_ns < now_ns - round(limits.max_past_s * NS_PER_S),
        lambda row: (
            f"time is {(now_ns - int(batch.source_time_ns[row])) / NS_PER_S / 86_400:.0f} "
            "days in the past"
        ),
        "check that the machine's clock is set and that precision fits the timestamps; "
        f"at most {limits.max_past_s / 86_400:.0f} days are allowed (max_past_s)",
    )


def _compact(batch: TelemetryBatch) -> TelemetryBatch:
    """Drop series that have no sample left, keeping the order of the rest."""
    used = np.unique(batch.series_index)
    row_of = np.zeros(len(batch.series), dtype=np.uint32)
    row_of[used] = np.arange(used.size, dtype=np.uint32)
    return TelemetryBatch(
        tuple(batch.series[row] for row in used.tolist()),
        row_of[batch.series_index],
        batch.source_time_ns,
        batch.value,
        batch.quality,
        batch.sequence,
    )
