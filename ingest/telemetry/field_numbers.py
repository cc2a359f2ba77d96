"""Values of fields, many at once: decimals, integers with their letter, booleans."""

from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.telemetry.decimals import read_decimals, read_integers
from ingest.telemetry.spans import MAX_SPAN_BYTES, number_spans

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
BytesArray = npt.NDArray[np.uint8]

_EXACT_INTEGER: Final = 2**53
_WORDS: Final = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}


def read_numbers(
    buffer: BytesArray, padded: bytes, start: IntArray, end: IntArray, *, is_whole: bool
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Read values of fields.

    Parameters
    ----------
    buffer : ndarray of uint8, shape (n_bytes,)
        The text, with `decimals.WIDTH` bytes before it and `spans.MAX_SPAN_BYTES` after it.
    padded : bytes
        The same bytes.
    start, end : ndarray of int64, shape (n_values,)
        Where each value begins, and the position after its last byte.
    is_whole : bool
        Whether they are integers, with their letter at the end.

    Returns
    -------
    value : ndarray of float64, shape (n_values,)
        What is written; of no meaning where it is not certain.
    is_sure : ndarray of bool, shape (n_values,)
        False for what is no number, or can't be kept exactly, or is left to the slower way.
    """
    if is_whole:
        number, is_sure = read_integers(buffer, start, end - 1)
        is_sure &= (np.abs(number) <= _EXACT_INTEGER) & (
            (buffer[end - 1] == ord("i")) | (buffer[start] != ord("-"))
        )
        return number.astype(np.float64), is_sure
    value, is_sure = read_decimals(buffer, start, end)
    # Words, exponents and very many digits: each different text by itself.
    left = np.flatnonzero(~is_sure & (end - start > 0) & (end - start <= MAX_SPAN_BYTES))
    number, first = number_spans(buffer, start[left], end[left] - start[left])
    texts = [
        padded[begin:stop]
        for begin, stop in zip(start[left[first]].tolist(), end[left[first]].tolist(), strict=True)
    ]
    found = np.array([_number_of(text) for text in texts], dtype=np.float64)
    is_found = ~np.isnan(found)
    value[left], is_sure[left] = found[number], is_found[number]
    return value, is_sure


def _number_of(text: bytes) -> float:
    """Boolean or float of a text, nan for anything that is not certainly one of them."""
    if text in _WORDS:
        return _WORDS[text]
    if not text[-1:].isdigit() or text.strip(b"+-.0123456789eE"):
        return np.nan
    try:
        number = float(text)
    except ValueError:
        return np.nan
    return number if abs(number) < np.inf else np.nan
