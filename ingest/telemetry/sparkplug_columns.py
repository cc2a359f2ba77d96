"""Metrics of Sparkplug B as columns, and what of them is a number.

Knows the data types of the specification; where the columns come from is left to
`ingest.telemetry.sparkplug`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.telemetry.sparkplug_messages import DataType

PropertyValue = float | int | bool | str


class Kind(IntEnum):
    """What a metric carries: the number of its value's field, or a word for none."""

    NONE = 0
    NULL = 1
    INT = 10
    LONG = 11
    FLOAT = 12
    DOUBLE = 13
    BOOLEAN = 14
    STRING = 15
    BYTES = 16
    DATASET = 17
    TEMPLATE = 18
    EXTENSION = 19


class Unusable(IntEnum):
    """Why a metric is no sample; 0 if it is one."""

    USABLE = 0
    NO_NUMBER = 1
    NO_VALUE = 2
    NOT_FINITE = 3
    OUT_OF_RANGE = 4
    NOT_EXACT = 5
    NO_TYPE = 6
    NO_TIME = 7


WHY_UNUSABLE: Final[dict[Unusable, str]] = {
    Unusable.NO_NUMBER: "is no number (text, a date, a dataset, a template or bytes)",
    Unusable.NO_VALUE: "has neither a value nor is_null",
    Unusable.NOT_FINITE: "is not finite; send is_null where there is no value",
    Unusable.OUT_OF_RANGE: "does not fit its data type",
    Unusable.NOT_EXACT: "can't be kept exactly as a float64; send it rounded or as a Double",
    Unusable.NO_TYPE: "is an integer of unknown type, so its sign is not known; send its datatype",
    Unusable.NO_TIME: "has no timestamp, and neither has its payload",
}

# Members of an enumeration are looked up by its metaclass, which costs more than a comparison.
_INT, _LONG = int(Kind.INT), int(Kind.LONG)
_FLOAT, _BOOLEAN = int(Kind.FLOAT), int(Kind.BOOLEAN)

# One row for each data type from UNKNOWN (0) to BOOLEAN (11): bits, and whether it has a sign.
_BITS: Final = np.array([0, 8, 16, 32, 64, 8, 16, 32, 64, 64, 64, 1], dtype=np.int64)
_IS_SIGNED: Final = np.array([0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0], dtype=bool)
# What each holds as far as 32 bits carry it; a type of 64 bits has no sign in 32 of them.
_SIGN_BIT: Final = np.where(_IS_SIGNED & (_BITS < 64), np.int64(2**31), np.int64(0))
_LOWEST: Final = np.array([
    -(2 ** (bits - 1)) if signed and bits < 64 else 0
    for bits, signed in zip(_BITS.tolist(), _IS_SIGNED.tolist(), strict=True)
])
_HIGHEST: Final = np.array([
    2 ** (bits - signed) - 1 if 0 < bits < 64 else 2**32 - 1
    for bits, signed in zip(_BITS.tolist(), _IS_SIGNED.tolist(), strict=True)
])
_LAST_NUMBER_TYPE: Final = int(DataType.BOOLEAN)
_EXACT_INTEGER: Final = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """The metrics of one payload as columns, in their order.

    Parameters
    ----------
    names : tuple of str
        Name of each, empty where none was sent.
    aliases : tuple of int
        Alias of each, -1 where none was sent.
    time_ms : ndarray of int64, shape (n_metrics,)
        When it was measured, else when its payload was made; -1 if neither is told. [ms]
    datatype : ndarray of uint8, shape (n_metrics,)
        A `DataType` each; 0 where none or an unknown one was sent.
    kind : ndarray of uint8, shape (n_metrics,)
        A `Kind` each.
    number : ndarray of float64, shape (n_metrics,)
        Value of floats, doubles and booleans; 0 elsewhere.
    integer : ndarray of uint64, shape (n_metrics,)
        Bits of an integer value as they were sent; 0 elsewhere.
    is_historical : ndarray of bool, shape (n_metrics,)
        Whether it tells of the past, after newer values.
    quality : ndarray of uint8, shape (n_metrics,)
        A `Quality` each, from the property ``Quality``.
    properties : dict of int to dict
        Properties of those metrics that have some, by row.
    is_plain : bool
        Whether it is known that every metric is a number, perhaps not finite, with a time.
    """

    names: tuple[str, ...]
    aliases: tuple[int, ...]
    time_ms: npt.NDArray[np.int64]
    datatype: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    number: npt.NDArray[np.float64]
    integer: npt.NDArray[np.uint64]
    is_historical: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.uint8]
    properties: Mapping[int, Mapping[str, PropertyValue | None]]
    is_plain: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def integer_of(self, name: str) -> int | None:
        """Value of a metric that counts, such as ``bdSeq``.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        int or None
            The value; None if there is no such integer.
        """
        if name not in self.names:
            return None
        row = self.names.index(name)
        return int(self.integer[row]) if self.kind[row] in {Kind.INT, Kind.LONG} else None


@dataclass(frozen=True, slots=True, eq=False)
class Payload:
    """One Sparkplug B payload.

    Parameters
    ----------
    timestamp_ms : int or None
        When it was sent. [ms since 1970-01-01 UTC]
    seq : int or None
        Its number, 0 to 255; deaths by will have none.
    metrics : Metrics
        What it carries.
    """

    timestamp_ms: int | None
    seq: int | None
    metrics: Metrics


def numeric_values(
    metrics: Metrics, datatype: npt.NDArray[np.uint8] | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Values of metrics as float64.

    Parameters
    ----------
    metrics : Metrics
        Decoded metrics.
    datatype : ndarray of uint8, shape (n_metrics,), optional
        Type of each as its birth told it, for metrics that don't tell it themselves.

    Returns
    -------
    value : ndarray of float64, shape (n_metrics,)
        Booleans are 1 and 0; ``nan`` where the metric is null or unusable.
    unusable : ndarray of uint8, shape (n_metrics,)
        An `Unusable` each, 0 for those that are numbers or null.
    """
    types = metrics.datatype
    if datatype is not None:
        types = np.where(types == 0, datatype, types)
    kind = metrics.kind
    unusable = np.zeros(len(metrics), dtype=np.uint8)
    are_plain = _are_plain_numbers(metrics, types)
    if are_plain and (not len(metrics) or kind.min() >= _FLOAT):
        return metrics.number, unusable
    value = metrics.number.copy()
    rows = np.flatnonzero((kind == _INT) | (kind == _LONG))
    if len(rows):
        value[rows], why = integers(metrics.integer[rows], types[rows])
        if are_plain and not why.any():
            return value, unusable
        unusable[rows] = why
    unusable[(kind >= Kind.STRING) | (types > _LAST_NUMBER_TYPE)] = Unusable.NO_NUMBER
    unusable[~np.isfinite(value) & (unusable == 0)] = Unusable.NOT_FINITE
    unusable[kind == Kind.NONE] = Unusable.NO_VALUE
    unusable[(metrics.time_ms < 0) & (unusable == 0)] = Unusable.NO_TIME
    is_null = kind == Kind.NULL
    unusable[is_null & (unusable != Unusable.NO_TIME)] = Unusable.USABLE
    unusable[is_null & (types > _LAST_NUMBER_TYPE)] = Unusable.NO_NUMBER
    value[is_null | (unusable != 0)] = np.nan
    return value, unusable


def integers(
    sent: npt.NDArray[np.uint64], types: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Numbers from the bits of integers, for `numeric_values` and properties alike.

    Parameters
    ----------
    sent : ndarray of uint64, shape (n_integers,)
        Bits as they were sent.
    types : ndarray of uint8, shape (n_integers,)
        A `DataType` each.

    Returns
    -------
    value : ndarray of float64, shape (n_integers,)
        The numbers.
    unusable : ndarray of uint8, shape (n_integers,)
        An `Unusable` each.
    """
    plain = _plain_integers(sent, types)
    if plain is not None:
        return plain, np.zeros(len(sent), dtype=np.uint8)
    # Signed ones travel as two's complement, cut to their own width or widened to the field's.
    known = np.minimum(types, _LAST_NUMBER_TYPE)
    bits, is_signed = _BITS[known], _IS_SIGNED[known]
    number = sent.view(np.int64).copy()
    is_narrow = is_signed & (bits < 64)
    half = np.left_shift(np.int64(1), np.minimum(bits - 1, 62).clip(0))
    number[is_narrow & (number >= half) & (number < 2 * half)] -= (
        2 * half[is_narrow & (number >= half) & (number < 2 * half)]
    )
    number[is_narrow & (number >= 2**32 - half) & (number < 2**32)] -= 2**32
    limit = np.where(is_signed, half, 2 * half)
    fits = np.where(bits == 64, True, (number < limit) & (number >= np.where(is_signed, -half, 0)))
    value = np.where(is_signed, number.astype(np.float64), sent.astype(np.float64))
    unusable = np.zeros(len(sent), dtype=np.uint8)
    unusable[~fits] = Unusable.OUT_OF_RANGE
    unusable[fits & ~_is_exact(sent, number, is_signed)] = Unusable.NOT_EXACT
    unusable[types == DataType.UNKNOWN] = Unusable.NO_TYPE
    return value, unusable


def _plain_integers(
    sent: npt.NDArray[np.uint64], types: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64] | None:
    """Numbers of up to 32 bits, written as wide as their field; None if one is anything else."""
    if not len(sent) or types.min() == 0 or types.max() > _LAST_NUMBER_TYPE:
        return None
    if sent.max() >= 2**32:
        return None
    number = sent.astype(np.int64)
    number -= (_SIGN_BIT[types] & number) << 1
    is_plain = ((number >= _LOWEST[types]) & (number <= _HIGHEST[types])).all()
    return number.astype(np.float64) if is_plain else None


def _is_exact(
    sent: npt.NDArray[np.uint64], number: npt.NDArray[np.int64], is_signed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether an integer has a float64 of its own: at most 53 bits between its ends."""
    size = np.where(is_signed, np.abs(number).view(np.uint64), sent)
    lowest = size & (~size + np.uint64(1))
    is_exact: npt.NDArray[np.bool_] = (size <= _EXACT_INTEGER) | (
        size // np.maximum(lowest, 1) < _EXACT_INTEGER
    )
    return is_exact


def _are_plain_numbers(metrics: Metrics, types: npt.NDArray[np.uint8]) -> bool:
    """Whether every metric is a finite number with a time: the usual case, and the quickest."""
    if not len(metrics):
        return True
    is_plain = metrics.is_plain or (
        metrics.kind.min() >= _INT and metrics.kind.max() <= _BOOLEAN and metrics.time_ms.min() >= 0
    )
    return bool(is_plain and types.max() <= _LAST_NUMBER_TYPE and np.isfinite(metrics.number).all())
