"""The form in which samples lie on the disk: columns, packed without losing a bit.

A frame holds the samples of one group commit, sorted by series (stably, so that samples of one
series keep their order). Each column becomes small integers first and planes of bytes then, which
is what makes a general compressor work on them: times as steps in their coarsest common unit,
values as whole numbers where they have few decimals, as float32 where that is exact, and as float64
else. Series are numbers here; `edge_agent.outbox_series` knows their names.

Little-endian throughout. A frame says nothing about its own damage: the record's CRC does.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_agent.errors import FrameError

COMPRESSION_LEVEL: Final = 1
"""Planes shrink about as far at level 1 as at 6, for a third of the time."""

MAX_DECIMALS: Final = 6
"""Sensors are read with three or four decimals; 10 ** 6 times a large value still fits int64."""

MAX_FRAME_SAMPLES: Final = 16_777_216
"""A frame that claims more is damaged; a group commit is cut off at about a megabyte of lines."""

_TIME_UNITS_NS: Final = (1_000_000_000, 1_000_000, 1_000, 100, 1)
"""Clocks tick in seconds, milliseconds, microseconds or OPC UA's 100 ns."""

_HEAD: Final = struct.Struct("<BIB")
_EXACT_INTEGER: Final = 2**53

# How a value is kept.
_AS_DECIMAL: Final = 0
_AS_FLOAT32: Final = 1
_AS_FLOAT64: Final = 2
_NOT_THERE: Final = 3

_VERSION: Final = 1
_N_COLUMNS: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Samples as columns, each row one sample of one numbered series.

    Parameters
    ----------
    series : ndarray of uint32, shape (n_samples,)
        Number of the series that each sample belongs to.
    time_ns : ndarray of int64, shape (n_samples,)
        When the machine measured it. [ns since 1970-01-01 UTC]
    value : ndarray of float64, shape (n_samples,)
        Measured value; ``nan`` where a bad sample carried none.
    quality : ndarray of uint8, shape (n_samples,)
        A `Quality` each.
    """

    series: npt.NDArray[np.uint32]
    time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.series.size)

    def take(self, rows: "npt.NDArray[np.intp] | npt.NDArray[np.bool_]") -> "Columns":
        """Select samples.

        Parameters
        ----------
        rows : ndarray of int or bool
            Positions, or one flag per sample.

        Returns
        -------
        Columns
            Those samples, in that order.
        """
        return Columns(self.series[rows], self.time_ns[rows], self.value[rows], self.quality[rows])


def sorted_by_series(columns: Columns) -> Columns:
    """Bring the samples of each series together, each series in its own order.

    Parameters
    ----------
    columns : Columns
        Samples in any order.

    Returns
    -------
    Columns
        The same samples.
    """
    if len(columns) < 2 or bool((columns.series[1:] >= columns.series[:-1]).all()):
        return columns
    return columns.take(np.argsort(columns.series, kind="stable"))


def pack(columns: Columns) -> bytes:
    """Pack samples into a frame.

    Parameters
    ----------
    columns : Columns
        Samples, sorted by series.

    Returns
    -------
    bytes
        The frame; `unpack` gives back the same samples bit for bit (every ``nan`` as one).
    """
    decimals, kinds, decimal, float32, float64 = _split_values(columns.value)
    unit = _time_unit(columns.time_ns)
    first_time = columns.time_ns[:1] // _TIME_UNITS_NS[unit]
    if not len(columns):
        first_time = np.zeros(1, dtype=np.int64)
    ticks = columns.time_ns // _TIME_UNITS_NS[unit]
    # Unsigned, so that steps between the ends of int64 wrap around and back.
    steps = np.diff(ticks.view(np.uint64), prepend=first_time.view(np.uint64))
    parts = (
        _planes(np.diff(columns.series, prepend=np.uint32(0))),
        first_time.astype("<i8").tobytes() + _planes(_zigzag(steps.view(np.int64))),
        _flat(kinds),
        _planes(_zigzag(decimal)),
        _planes(float32.view(np.uint32)),
        _planes(float64.view(np.uint64)),
        _flat(columns.quality),
    )
    head = _HEAD.pack(_VERSION, len(columns), decimals << 4 | unit)
    sizes = struct.pack(f"<{_N_COLUMNS}I", *map(len, parts))
    return head + zlib.compress(sizes + b"".join(parts), COMPRESSION_LEVEL)


def unpack(frame: bytes) -> Columns:
    """Give back what `pack` was given.

    Parameters
    ----------
    frame : bytes
        A frame whose CRC was found right.

    Returns
    -------
    Columns
        The samples, sorted by series.

    Raises
    ------
    FrameError
        If it is no frame that this version writes.
    """
    try:
        version, n_samples, code = _HEAD.unpack_from(frame)
        if version != _VERSION or n_samples > MAX_FRAME_SAMPLES:
            msg = (
                f"frame of form {version} with {n_samples} samples; this version writes {_VERSION}"
            )
            raise FrameError(msg)
        body = zlib.decompress(frame[_HEAD.size :])
        sizes = struct.unpack_from(f"<{_N_COLUMNS}I", body)
        ends = np.cumsum((4 * _N_COLUMNS, *sizes)).tolist()
        parts = [body[start:end] for start, end in itertools.pairwise(ends)]
        return _unpack(parts, n_samples, decimals=code >> 4, unit=code & 15)
    except (struct.error, zlib.error, ValueError, IndexError, MemoryError) as error:
        msg = f"frame can't be unpacked: {error}"
        raise FrameError(msg) from error


def _unpack(parts: list[bytes], n_samples: int, *, decimals: int, unit: int) -> Columns:
    first = np.frombuffer(parts[1], dtype="<i8", count=1).astype(np.int64).view(np.uint64)
    steps = _unzigzag(_unplanes(parts[1][8:], n_samples)).view(np.uint64)
    ticks = (np.cumsum(steps, dtype=np.uint64) + first).view(np.int64)
    return Columns(
        np.cumsum(_unplanes(parts[0], n_samples), dtype=np.uint32),
        ticks * _TIME_UNITS_NS[unit],
        _join_values(parts[2:6], n_samples, decimals),
        _unflat(parts[6], n_samples),
    )


# --- values ------------------------------------------------------------------------------------


def _split_values(
    value: npt.NDArray[np.float64],
) -> tuple[
    int,
    npt.NDArray[np.uint8],
    npt.NDArray[np.int64],
    npt.NDArray[np.float32],
    npt.NDArray[np.float64],
]:
    """Part values by the smallest form that gives them back bit for bit."""
    bits = value.view(np.int64)
    is_minus_zero = bits == np.iinfo(np.int64).min
    decimals, scaled, is_decimal = 0, np.zeros(0), np.zeros(0, dtype=bool)
    best = -1
    for tried in range(MAX_DECIMALS + 1):
        power = 10.0**tried
        # Infinity and nan are told apart below, by not coming back the same.
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.rint(value * power)
            # The quotient of two exact numbers is the float64 nearest to the decimal, and so is
            # what was parsed or rounded from it.
            comes_back = (rounded / power).view(np.int64) == bits
            comes_back &= np.abs(rounded) < _EXACT_INTEGER
            # An integer has no -0.
            comes_back &= ~is_minus_zero
        n = int(np.count_nonzero(comes_back))
        if n > best:
            best, decimals, scaled, is_decimal = n, tried, rounded, comes_back
        if n == value.size:
            break
    kinds = np.full(value.size, _AS_DECIMAL, dtype=np.uint8)
    if best == value.size:
        return decimals, kinds, scaled.astype(np.int64), _NO_FLOAT32, _NO_FLOAT64
    is_nan = np.isnan(value)
    with np.errstate(over="ignore", invalid="ignore"):
        as_float32 = value.astype(np.float32)
    is_float32 = ~is_decimal & ~is_nan & (as_float32.astype(np.float64).view(np.int64) == bits)
    is_float64 = ~is_decimal & ~is_nan & ~is_float32
    kinds[is_nan], kinds[is_float32], kinds[is_float64] = _NOT_THERE, _AS_FLOAT32, _AS_FLOAT64
    return (
        decimals,
        kinds,
        scaled[is_decimal].astype(np.int64),
        as_float32[is_float32],
        value[is_float64],
    )


def _join_values(parts: list[bytes], n_samples: int, decimals: int) -> npt.NDArray[np.float64]:
    kinds = _unflat(parts[0], n_samples)
    value = np.full(n_samples, np.nan)
    rows = kinds == _AS_DECIMAL
    if n := int(np.count_nonzero(rows)):
        value[rows] = _unzigzag(_unplanes(parts[1], n)) / 10.0**decimals
    rows = kinds == _AS_FLOAT32
    if n := int(np.count_nonzero(rows)):
        value[rows] = _unplanes(parts[2], n).astype(np.uint32).view(np.float32)
    rows = kinds == _AS_FLOAT64
    if n := int(np.count_nonzero(rows)):
        value[rows] = _unplanes(parts[3], n).view(np.float64)
    return value


_NO_FLOAT32: Final = np.zeros(0, dtype=np.float32)
_NO_FLOAT64: Final = np.zeros(0, dtype=np.float64)


# --- integers to planes of bytes ---------------------------------------------------------------


def _time_unit(time_ns: npt.NDArray[np.int64]) -> int:
    for unit, length_ns in enumerate(_TIME_UNITS_NS):
        if not (time_ns % length_ns).any():
            return unit
    return len(_TIME_UNITS_NS) - 1


def _zigzag(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Bring small numbers of both signs to small numbers without one."""
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _unzigzag(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return (numbers >> np.uint64(1)).view(np.int64) ^ -(numbers & np.uint64(1)).view(np.int64)


def _planes(numbers: npt.NDArray[np.uint32] | npt.NDArray[np.uint64]) -> bytes:
    """All lowest bytes, then all next ones, up to the highest that is used by any number."""
    if not numbers.size:
        return b""
    width = (int(numbers.max()).bit_length() + 7) // 8
    little = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)
    octets = little.view(np.uint8).reshape(numbers.size, numbers.dtype.itemsize)
    return octets[:, :width].T.tobytes()


def _unplanes(planes: bytes, n: int) -> npt.NDArray[np.uint64]:
    octets = np.zeros((n, 8), dtype=np.uint8)
    if n and planes:
        found = np.frombuffer(planes, dtype=np.uint8).reshape(-1, n)
        octets[:, : len(found)] = found.T
    return octets.view("<u8").reshape(n).astype(np.uint64, copy=False)


def _flat(codes: npt.NDArray[np.uint8]) -> bytes:
    """One byte where all are the same, as qualities mostly are."""
    if codes.size and bool((codes == codes[0]).all()):
        return codes[:1].tobytes()
    return codes.tobytes()


def _unflat(octets: bytes, n: int) -> npt.NDArray[np.uint8]:
    codes = np.frombuffer(octets, dtype=np.uint8)
    return np.full(n, codes[0], dtype=np.uint8) if n and codes.size == 1 else codes.copy()
