"""Many decimal numbers at once: from the bytes they are written in to float64 and int64.

Eight digits are read with three multiplications on one 64-bit word, so a million numbers take a
few hundredths of a second. [1]_ A result is given only where it is certainly the one that reading
digit by digit gives; everything else is left to the caller's slower way.

References
----------
.. [1] D. Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience,
   vol. 51, no. 8, pp. 1700-1727, 2021.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

BytesArray = npt.NDArray[np.uint8]
PositionArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
WordArray = npt.NDArray[np.uint64]

WIDTH: Final = 24
"""Longest number that is read here, and how many bytes must lie before the first one. [byte]"""

_MAX_DIGITS: Final = 19
"""Every number of 19 digits fits uint64."""

_MAX_FRACTION_DIGITS: Final = 22
"""10**22 is the largest power of ten that a float64 holds exactly."""

_EXACT: Final = np.uint64(2**53)
_MINUS: Final = np.uint8(ord("-"))
_POINT: Final = np.uint8(ord("."))
_HALF_BYTE: Final = np.uint64(4)
_BYTE: Final = np.uint64(8)
_SEVEN_BYTES: Final = np.uint64(56)
_ZEROS: Final = np.uint64(0x3030303030303030)
_SIXES: Final = np.uint64(0x0606060606060606)
_UPPER: Final = np.uint64(0xF0F0F0F0F0F0F0F0)
_THREES: Final = np.uint64(0x3333333333333333)
_POWERS: Final = 10.0 ** np.arange(_MAX_FRACTION_DIGITS + 1)

# Row n keeps the last n bytes of a number and blanks what stands before them.
_LAST: Final = np.ascontiguousarray(
    np.where(np.arange(WIDTH) >= WIDTH - np.arange(WIDTH + 1)[:, np.newaxis], 0xFF, 0).astype(
        np.uint8
    )
).view(np.uint64)

# On x86 a long double holds every uint64 and these powers of ten, so one division is off by at
# most half of its last place, which is 2**-11 of half a place of the float64.
_HAS_LONG_DOUBLE: Final = np.finfo(np.longdouble).nmant >= 63
_LONG_POWERS: Final = np.longdouble(10) ** np.arange(_MAX_FRACTION_DIGITS + 1)
_DOUBT: Final = 2.0**-9
"""Nearer than this to the middle between two float64, the division does not decide. [1]"""


def read_decimals(
    buffer: BytesArray, start: PositionArray, end: PositionArray
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Read numbers such as ``-2.31``, ``7`` or ``.5``.

    Parameters
    ----------
    buffer : ndarray of uint8, shape (n_bytes,)
        The text; at least `WIDTH` bytes lie before the first number.
    start, end : ndarray of int64, shape (n_numbers,)
        Where each number begins, and the position after its last byte.

    Returns
    -------
    value : ndarray of float64, shape (n_numbers,)
        The float64 nearest to what is written; of no meaning where it was not read.
    is_read : ndarray of bool, shape (n_numbers,)
        False for everything but digits with at most one point and a minus sign before them, for
        more than 19 digits, and where the nearest float64 can't be told for sure.

    Examples
    --------
    >>> text = np.frombuffer(b" " * WIDTH + b"-2.31", np.uint8)
    >>> value, is_read = read_decimals(text, np.array([WIDTH]), np.array([WIDTH + 5]))
    >>> value.tolist(), is_read.tolist()
    ([-2.31], [True])
    """
    length = end - start
    is_read = (length > 0) & (length < WIDTH)
    text = _ending_at(buffer, np.where(is_read, end, WIDTH))
    is_negative = buffer[start] == _MINUS
    n_characters = np.where(is_read, length - is_negative, 0)
    # One row for each number, three words of eight bytes; what stands before the number is blanked.
    words = text.view(np.uint64) & _LAST[n_characters]
    n_fraction, has_point = _point(words)
    # The point is taken out by moving what stands before it one place to the right.
    is_fraction = _LAST[n_fraction]
    moved = words << _BYTE
    moved[:, 1:] |= words[:, :-1] >> _SEVEN_BYTES
    words = np.where(
        has_point[:, np.newaxis], (words & is_fraction) | (moved & ~is_fraction), words
    )
    n_digits = n_characters - has_point
    mantissa, are_digits = _digits(words, n_digits)
    is_read &= are_digits & (n_digits > 0) & (n_digits <= _MAX_DIGITS)
    value, is_sure = _divide(mantissa, np.where(is_read, n_fraction, 0))
    return np.where(is_negative, -value, value), is_read & is_sure


def read_integers(
    buffer: BytesArray, start: PositionArray, end: PositionArray
) -> tuple[npt.NDArray[np.int64], BoolArray]:
    """Read whole numbers such as ``-7``.

    Parameters
    ----------
    buffer : ndarray of uint8, shape (n_bytes,)
        The text; at least `WIDTH` bytes lie before the first number.
    start, end : ndarray of int64, shape (n_numbers,)
        Where each number begins, and the position after its last byte.

    Returns
    -------
    value : ndarray of int64, shape (n_numbers,)
        What is written; of no meaning where it was not read.
    is_read : ndarray of bool, shape (n_numbers,)
        False for everything but at most 19 digits with a minus sign before them, and for what an
        int64 can't hold.

    Examples
    --------
    >>> text = np.frombuffer(b" " * WIDTH + b"-700", np.uint8)
    >>> value, is_read = read_integers(text, np.array([WIDTH]), np.array([WIDTH + 4]))
    >>> value.tolist(), is_read.tolist()
    ([-700], [True])
    """
    length = end - start
    is_read = (length > 0) & (length <= _MAX_DIGITS + 1)
    text = _ending_at(buffer, np.where(is_read, end, WIDTH))
    is_negative = buffer[start] == _MINUS
    n_digits = np.where(is_read, length - is_negative, 0)
    number, are_digits = _digits(text.view(np.uint64) & _LAST[n_digits], n_digits)
    is_read &= are_digits & (n_digits > 0) & (n_digits <= _MAX_DIGITS)
    is_read &= number <= np.uint64(2**63 - 1)
    value = number.view(np.int64)
    return np.where(is_negative, -value, value), is_read


def _ending_at(buffer: BytesArray, end: PositionArray) -> BytesArray:
    """Copy the `WIDTH` bytes before each position, one row each."""
    return np.lib.stride_tricks.sliding_window_view(buffer, WIDTH)[end - WIDTH]


def _point(words: WordArray) -> tuple[npt.NDArray[np.int64], BoolArray]:
    """Say how many bytes follow the point of each row, 0 without one; of several, some number."""
    is_point = (words.view(np.uint8) == _POINT).view(np.uint64)
    any_point = is_point[:, 0] | is_point[:, 1] | is_point[:, 2]
    # A point as byte k of a word is the number 2**(8 k), whose exponent frexp tells.
    byte = (np.frexp(any_point.astype(np.float64))[1] - 1) >> 3
    word = np.where(is_point[:, 2] != 0, 2, np.where(is_point[:, 1] != 0, 1, 0))
    has_point = any_point != 0
    return np.where(has_point, WIDTH - 1 - 8 * word - byte, 0), has_point


def _digits(
    words: WordArray, n_digits: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], BoolArray]:
    """Read the last `n_digits` bytes of each row; false where one of them is no digit."""
    last = _LAST[n_digits]
    words = (words & last) | (_ZEROS & ~last)
    # Digits are 0x30 to 0x39: their upper half is 3, and still is when 6 is added.
    upper = (words & _UPPER) | (((words + _SIXES) & _UPPER) >> _HALF_BYTE)
    are_digits = (upper[:, 0] == _THREES) & (upper[:, 1] == _THREES) & (upper[:, 2] == _THREES)
    eights = _eight_digits(words)
    number = eights[:, 0] * np.uint64(10**16) + eights[:, 1] * np.uint64(10**8) + eights[:, 2]
    return number, are_digits


def _eight_digits(word: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Read eight digits in each word, the first of them in its lowest byte."""
    pairs = word - _ZEROS
    pairs = pairs * np.uint64(10) + (pairs >> _BYTE)
    of_four = np.uint64(0x000000FF000000FF)
    first = (pairs & of_four) * np.uint64(0x000F424000000064)
    second = ((pairs >> np.uint64(16)) & of_four) * np.uint64(0x0000271000000001)
    return (first + second) >> np.uint64(32)


def _divide(
    mantissa: npt.NDArray[np.uint64], n_fraction: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Divide by powers of ten, rounding once; false where one rounding can't be had."""
    is_sure = n_fraction <= _MAX_FRACTION_DIGITS
    n_fraction = np.where(is_sure, n_fraction, 0)
    # Both are exact in float64, so IEEE 754 gives the nearest quotient.
    value = mantissa.astype(np.float64) / _POWERS[n_fraction]
    long = np.flatnonzero((mantissa > _EXACT) & is_sure)
    if long.size == 0:
        return value, is_sure
    if not _HAS_LONG_DOUBLE:
        is_sure[long] = False
        return value, is_sure
    exact = mantissa[long].astype(np.longdouble) / _LONG_POWERS[n_fraction[long]]
    nearest = exact.astype(np.float64)
    half_place = np.spacing(nearest) / 2
    from_middle = np.abs(np.abs(exact - nearest) - half_place)
    value[long] = nearest
    is_sure[long] = from_middle > _DOUBT * half_place
    return value, is_sure
