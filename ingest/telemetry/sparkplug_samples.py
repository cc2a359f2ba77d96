"""Samples of one Sparkplug message, once it is known what its metrics are."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ingest.telemetry.batch import Priority, Quality, Series, TelemetryBatch
from ingest.telemetry.sparkplug import WHY_UNUSABLE, Metrics, Unusable, numeric_values
from ingest.telemetry.sparkplug_births import Births
from ingest.telemetry.units import UNIT_BY_SUFFIX, unit_of

_NS_PER_MS: Final = 1_000_000
_UNITS: Final = frozenset(UNIT_BY_SUFFIX.values()) - {"1"}


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What one message held.

    Parameters
    ----------
    batch : TelemetryBatch
        Its samples; may be empty.
    priority_of : dict of Series to Priority
        Priorities of the series that have one of their own.
    faults : tuple of str
        What could not be read, each in a few words.
    """

    batch: TelemetryBatch
    priority_of: dict[Series, Priority] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


NOTHING: Final = Samples(TelemetryBatch.empty())
"""Of a message that is not believed."""


def wrong_units(births: Births, metrics: Metrics) -> Iterator[str]:
    """Say where a birth tells another unit than the signal's name.

    Parameters
    ----------
    births : Births
        What was learned from it.
    metrics : Metrics
        What it carried.

    Yields
    ------
    str
        Which metric, and what to do.
    """
    for row, told in metrics.properties.items():
        metric, unit = births.by_name.get(metrics.names[row]), told.get("engUnit")
        if metric is None or metric.wanted is None or unit not in _UNITS:
            continue
        signal = metric.wanted.series.signal
        named = unit_of(signal)
        if named is not None and unit != named:
            yield (
                f"{metric.name} is in {unit}, and {signal} in {named}; correct the "
                "signal's name (its values are kept)"
            )


def samples_of(
    births: Births, metrics: Metrics, faults: list[str], *, is_doubtful: bool
) -> Samples:
    """Take the samples out of a birth or of data.

    Parameters
    ----------
    births : Births
        What the births told.
    metrics : Metrics
        Of the message.
    faults : list of str
        What is wrong with it already; it may grow.
    is_doubtful : bool
        Whether what an alias stands for may have changed unheard.

    Returns
    -------
    Samples
        Null values as bad samples without a value.
    """
    shape = births.shape(metrics)
    value, unusable = numeric_values(metrics, shape.datatype)
    time_ns, quality = metrics.time_ms * _NS_PER_MS, metrics.quality
    index, by_alias = shape.series_index, shape.is_by_alias
    if not shape.is_all:
        value, unusable = value[shape.rows], unusable[shape.rows]
        time_ns, quality = time_ns[shape.rows], quality[shape.rows]
    if unusable.any():
        kept = unusable == 0
        faults += [
            f"{shape.series[row].signal} {WHY_UNUSABLE[Unusable(why)]}"
            for row, why in zip(index[~kept].tolist(), unusable[~kept].tolist(), strict=True)
        ]
        value, time_ns, quality = value[kept], time_ns[kept], quality[kept]
        index, by_alias = index[kept], by_alias[kept]
    if not metrics.is_plain and (is_null := np.isnan(value)).any():
        quality = np.where(is_null, np.uint8(Quality.BAD), quality)
    if is_doubtful:
        doubted = np.maximum(quality, np.uint8(Quality.UNCERTAIN))
        quality = np.where(by_alias, doubted, quality)
    batch = TelemetryBatch(shape.series, index, time_ns, value, quality)
    return Samples(batch, shape.priority_of, tuple(faults))


def stale(dead: list[Births], at_ns: int) -> Samples:
    """Say of every series that nothing is known any more.

    Parameters
    ----------
    dead : list of Births
        Of the node and devices that have died.
    at_ns : int
        Since when. [ns since 1970-01-01 UTC]

    Returns
    -------
    Samples
        One bad sample without a value for each series.
    """
    series = tuple(dict.fromkeys(one for births in dead for one in births.series()))
    n = len(series)
    batch = TelemetryBatch.of(series, range(n), [at_ns] * n, [np.nan] * n, [int(Quality.BAD)] * n)
    priority_of = {
        metric.wanted.series: metric.wanted.priority
        for births in dead
        for metric in births.by_name.values()
        if metric.wanted is not None
    }
    return Samples(batch, priority_of)
