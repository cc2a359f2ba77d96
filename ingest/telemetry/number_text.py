"""Numbers as decimal text, thousands at a time, in rows of bytes padded with NUL.

A float64 gets the fewest digits that read back to it, and of those the nearest, exactly as Python's
`repr`. For values of everyday size this needs no long arithmetic: the value times a power of ten is
a double and its rounding error, both exact, and at most three candidates of 15, 16 and 17 digits
are held against the distance to its neighbours. What is too close to call, very large or very small
is left to `repr`.

References
----------
.. [1] T. J. Dekker, "A floating-point technique for extending the available precision", Numerische
   Mathematik, vol. 18, pp. 224-242, 1971: the exact product of two doubles.
.. [2] G. L. Steele and J. L. White, "How to print floating-point numbers accurately", PLDI 1990:
   what the shortest text is.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

DECIMAL_WIDTH: Final = 24
"""Longest text of a float64: ``-2.2250738585072014e-308``. [byte]"""

INTEGER_WIDTH: Final = 20
"""Longest text of an int64: ``-9223372036854775808``. [byte]"""

N_DIGITS: Final = 17
"""Digits that tell any two float64 apart."""

_LEAST, _MOST = 1e-4, 1e16
"""From here to there `repr` writes no exponent, and powers of ten are exact."""
_LEAST_POWER: Final = -4
_N_POWERS: Final = 20

_SPLITTER: Final = 2.0**27 + 1.0
_TOO_CLOSE: Final = 1e-6
"""Share of the distance to a neighbour within which a candidate is left to `repr`."""

_EXPONENT_SHIFT: Final = np.uint64(52)
_EXPONENT_BITS: Final = np.uint64(0x7FF)
_FRACTION_BITS: Final = np.uint64(0x000F_FFFF_FFFF_FFFF)

_ZERO, _POINT, _MINUS = (np.uint8(ord(sign)) for sign in "0.-")

_POWERS: Final = np.array([10.0**power for power in range(_LEAST_POWER, _LEAST_POWER + 22)])
_SCALES: Final = np.array([
    10.0 ** (16 - power) for power in range(_LEAST_POWER, _LEAST_POWER + 21)
])
"""What takes a value of each power of ten to 17 digits; all of them are exact."""

_SCALES_15: Final = np.array([
    10.0 ** max(14 - power, 0) for power in range(_LEAST_POWER, _LEAST_POWER + 21)
])
"""What takes a value to 15 digits; one of more before its point stays as it is."""

_SCALES_HIGH: Final = _SPLITTER * _SCALES - (_SPLITTER * _SCALES - _SCALES)
_SCALES_LOW: Final = _SCALES - _SCALES_HIGH


def _power_guesses() -> npt.NDArray[np.int64]:
    """Power of ten of the least value with each binary exponent, as a place in the tables."""
    exponents = np.arange(2048, dtype=np.float64) - 1023.0
    powers = np.floor(exponents * np.log10(2.0) + 1e-12).astype(np.int64)
    places: npt.NDArray[np.int64] = np.clip(powers - _LEAST_POWER, 0, _N_POWERS)
    return places


_GUESSES: Final = _power_guesses()

_CHUNK: Final = 10_000
_CHUNKS: Final = np.array([f"{number:04d}".encode() for number in range(_CHUNK)], dtype="S4").view(
    np.uint32
)
"""Four digits at a time."""

_NOUGHTS: Final = np.array(
    [
        4 if number == 0 else len(text := str(number)) - len(text.rstrip("0"))
        for number in range(_CHUNK)
    ],
    dtype=np.uint8,
)
"""How many noughts each four digits end in."""

_PLACES: Final = np.arange(N_DIGITS, dtype=np.uint8)


def decimal_texts(value: npt.NDArray[np.float64]) -> Bytes:
    r"""Write floats with the fewest digits that read back to the same float.

    Parameters
    ----------
    value : ndarray of shape (n,)
        Finite or not.

    Returns
    -------
    ndarray of uint8, shape (n, DECIMAL_WIDTH)
        What `repr` gives, NUL in between and behind; remove them.

    Examples
    --------
    >>> [bytes(row).replace(b"\0", b"") for row in decimal_texts(np.array([0.1, -2.0, 1e300]))]
    [b'0.1', b'-2.0', b'1e+300']
    """
    size = np.abs(value)
    is_usual = (size >= _LEAST) & (size < _MOST)
    if not is_usual.all():
        size = np.where(is_usual, size, 1.0)
    place = _GUESSES[(size.view(np.uint64) >> _EXPONENT_SHIFT).astype(np.int64)]
    place += size >= _POWERS[place + 1]
    digits, is_short = _few_digits(size, place)
    is_sure = is_short
    if not is_short.all():
        long = np.flatnonzero(~is_short)
        digits[long], is_sure_long = _shortest_digits(size[long], place[long])
        is_sure = is_short.copy()
        is_sure[long] = is_sure_long
        is_carried = digits == 10**N_DIGITS
        if is_carried.any():
            place += is_carried
            digits[is_carried] = 10 ** (N_DIGITS - 1)
    text = _laid_out(digits, place)
    text[:, 0] = np.where(np.signbit(value), _MINUS, 0)
    hard = np.flatnonzero(~(is_sure & is_usual))
    if hard.size:
        spelled = [repr(number).encode() for number in value[hard].tolist()]
        text[hard] = (
            np.array(spelled, dtype=f"S{DECIMAL_WIDTH}").view(np.uint8).reshape(-1, DECIMAL_WIDTH)
        )
    return text


def _few_digits(
    size: npt.NDArray[np.float64], place: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Digits of values that at most 15 of them tell, with noughts behind, and which those are.

    A whole number below 2**53 by a power of ten that is exact is rounded once: if that gives the
    value, the digits do, and no two texts of 15 digits give the same.
    """
    scale = _SCALES_15[place]
    whole = np.rint(size * scale)
    return whole.astype(np.int64) * 100, (whole / scale == size) & (whole < 1e15)


def _shortest_digits(
    size: npt.NDArray[np.float64], place: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Digits as a number of 17 digits with noughts behind, and whether they are sure."""
    scale = _SCALES[place]
    product = size * scale
    size_high = _SPLITTER * size
    size_high -= size_high - size
    size_low = size - size_high
    scale_high, scale_low = _SCALES_HIGH[place], _SCALES_LOW[place]
    error = size_high * scale_high - product
    error += size_high * scale_low
    error += size_low * scale_high
    error += size_low * scale_low
    # The value in units of the last of 17 digits is `whole` + `rest`, exactly.
    below = np.floor(error)
    whole = product.astype(np.int64) + below.astype(np.int64)
    rest = error - below
    # Half the distance to the next float, in the same units; below a power of two it is half that.
    spacing = (size.view(np.uint64) & (_EXPONENT_BITS << _EXPONENT_SHIFT)).view(
        np.float64
    ) * 2.0**-53
    reach = spacing * scale
    is_power_of_two = (size.view(np.uint64) & _FRACTION_BITS) == 0
    by_100 = whole // 100
    tail_100 = (whole - by_100 * 100) + rest
    by_100 += tail_100 > 50.0
    off_100 = np.minimum(tail_100, 100.0 - tail_100)
    by_10 = whole // 10
    tail_10 = (whole - by_10 * 10) + rest
    by_10 += tail_10 > 5.0
    off_10 = np.minimum(tail_10, 10.0 - tail_10)
    has_15, has_16 = off_100 < reach, off_10 < reach
    digits = np.where(has_15, by_100 * 100, np.where(has_16, by_10 * 10, whole + (rest > 0.5)))
    margin = _TOO_CLOSE * reach
    is_close_15 = np.abs(off_100 - reach) <= margin
    is_close_16 = ~has_15 & ((np.abs(off_10 - reach) <= margin) | (has_16 & (tail_10 == 5.0)))
    is_close_17 = ~has_15 & ~has_16 & (rest == 0.5)
    is_exact = has_15 & (off_100 == 0.0)
    is_sure = ~(is_close_15 | is_close_16 | is_close_17) & (~is_power_of_two | is_exact)
    return digits, is_sure


def _laid_out(digits: npt.NDArray[np.int64], place: npt.NDArray[np.int64]) -> Bytes:
    """Digits as text with a point where it belongs; the first column is left for a sign."""
    text = np.zeros((digits.size, DECIMAL_WIDTH), np.uint8)
    columns, shown = _digit_columns(digits)
    places = np.flatnonzero(np.bincount(place)).tolist()
    for one in places:
        if len(places) == 1:
            _lay_out_power(text, columns, shown, one + _LEAST_POWER)
        else:
            rows = np.flatnonzero(place == one)
            part = np.zeros((rows.size, DECIMAL_WIDTH), np.uint8)
            _lay_out_power(part, columns[rows], shown[rows], one + _LEAST_POWER)
            text[rows] = part
    return text


def _lay_out_power(text: Bytes, columns: Bytes, shown: Bytes, power: int) -> None:
    """Lay out digits whose first counts for the same power of ten."""
    n_before = max(power + 1, 0)
    # At least one digit stands behind the point; noughts behind the last one are not shown.
    last = np.maximum(shown, np.uint8(n_before + 1))
    kept = columns * (last[:, np.newaxis] > _PLACES)
    if n_before:
        text[:, 1 : 1 + n_before] = kept[:, :n_before]
        at = 1 + n_before
    else:
        text[:, 1] = _ZERO
        at = 2
    text[:, at] = _POINT
    at += 1
    n_noughts = max(-power - 1, 0)
    text[:, at : at + n_noughts] = _ZERO
    at += n_noughts
    text[:, at : at + N_DIGITS - n_before] = kept[:, n_before:]


def _digit_columns(digits: npt.NDArray[np.int64]) -> tuple[Bytes, Bytes]:
    """Put each of the 17 digits into a column, and count them without the noughts behind."""
    chunks = np.empty((digits.size, 5), np.uint32)
    n_noughts = np.zeros(digits.size, np.uint8)
    is_nought = np.ones(digits.size, np.bool_)
    left = digits
    for column in (4, 3, 2, 1):
        shorter = left // _CHUNK
        four = left - shorter * _CHUNK
        chunks[:, column] = _CHUNKS[four]
        ending = _NOUGHTS[four]
        n_noughts += ending * is_nought
        is_nought &= ending == 4
        left = shorter
    chunks[:, 0] = _CHUNKS[left]
    return chunks.view(np.uint8)[:, 3:], np.uint8(N_DIGITS) - n_noughts


def integer_texts(value: npt.NDArray[np.int64]) -> Bytes:
    r"""Write whole numbers.

    Parameters
    ----------
    value : ndarray of int64, shape (n,)
        Any.

    Returns
    -------
    ndarray of uint8, shape (n, INTEGER_WIDTH)
        What `str` gives, NUL before or behind its sign; remove them.

    Examples
    --------
    >>> [bytes(row).replace(b"\0", b"") for row in integer_texts(np.array([0, -17, 2**62]))]
    [b'0', b'-17', b'4611686018427387904']
    """
    is_negative = value < 0
    size = value.view(np.uint64)
    if is_negative.any():
        size = np.where(is_negative, ~size + np.uint64(1), size)
    chunks = np.empty((value.size, 5), np.uint32)
    left = size
    for column in (4, 3, 2, 1):
        shorter = left // np.uint64(_CHUNK)
        chunks[:, column] = _CHUNKS[(left - shorter * np.uint64(_CHUNK)).astype(np.int64)]
        left = shorter
    chunks[:, 0] = _CHUNKS[left.astype(np.int64)]
    # The first of 20 digits is always a nought: int64 has 19. It makes room for a sign.
    text = chunks.view(np.uint8)
    if value.size and int(size.min()) < 10**18:
        n_leading = np.zeros(value.size, np.int64)
        for power in range(18, 0, -1):
            n_leading += size < np.uint64(10**power)
        text *= np.arange(INTEGER_WIDTH) > n_leading[:, np.newaxis]
    text[:, 0] = np.where(is_negative, _MINUS, 0)
    return text
