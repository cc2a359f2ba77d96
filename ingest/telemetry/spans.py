"""Many short texts at once: which of them are the same."""

from typing import Final

import numpy as np
import numpy.typing as npt

BytesArray = npt.NDArray[np.uint8]
PositionArray = npt.NDArray[np.int64]

MAX_SPAN_BYTES: Final = 256
"""Longest text that is looked at; so many bytes must follow the last one's beginning. [byte]"""

_N_ROUNDS: Final = 4
"""Texts that share their place in the table with another are tried again this often."""

_FEW: Final = 4
"""So many different texts are told apart by comparing with each; above, mixing is faster."""

# Row n keeps the first n bytes of a text and blanks what follows.
_FIRST: Final = np.ascontiguousarray(
    np.where(
        np.arange(MAX_SPAN_BYTES) < np.arange(MAX_SPAN_BYTES + 1)[:, np.newaxis], 0xFF, 0
    ).astype(np.uint8)
).view(np.uint64)


def number_spans(
    buffer: BytesArray, start: PositionArray, length: PositionArray
) -> tuple[npt.NDArray[np.int64], PositionArray]:
    """Give equal texts the same number.

    Parameters
    ----------
    buffer : ndarray of uint8, shape (n_bytes,)
        The text; at least `MAX_SPAN_BYTES` bytes follow the beginning of the last span.
    start : ndarray of int64, shape (n_spans,)
        Where each begins.
    length : ndarray of int64, shape (n_spans,)
        How long each is, at most `MAX_SPAN_BYTES`. [byte]

    Returns
    -------
    number : ndarray of int64, shape (n_spans,)
        From 0, in the order of first appearance.
    first : ndarray of int64, shape (n_texts,)
        Position in the given arrays where each text first appears.

    Examples
    --------
    >>> text = np.frombuffer(b"ab,cd,ab" + bytes(MAX_SPAN_BYTES), np.uint8)
    >>> number, first = number_spans(text, np.array([0, 3, 6]), np.array([2, 2, 2]))
    >>> number.tolist(), first.tolist()
    ([0, 1, 0], [0, 1])
    """
    if start.size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    words = _words(buffer, start, length)
    example = _first_equal(words, length)
    first = np.flatnonzero(example == np.arange(example.size))
    number_of = np.empty(example.size, np.int64)
    number_of[first] = np.arange(first.size)
    return number_of[example], first


def _words(
    buffer: BytesArray, start: PositionArray, length: PositionArray
) -> npt.NDArray[np.uint64]:
    """Copy each text into a row of 8-byte words, zeros after its end."""
    n_words = max(1, -(-int(length.max()) // 8))
    rows = np.lib.stride_tricks.sliding_window_view(buffer, 8 * n_words)[start]
    words: npt.NDArray[np.uint64] = rows.view(np.uint64)
    words &= _FIRST[:, :n_words][length]
    return words


def _first_equal(words: npt.NDArray[np.uint64], length: PositionArray) -> npt.NDArray[np.int64]:
    """For each row, the first row that is equal to it."""
    # Most words are the same in all texts: of machines that send together, only names differ.
    differs = (words != words[0]).any(axis=0)
    columns = [*np.ascontiguousarray(words.T[differs]), length.astype(np.uint64)]
    example = _few_different(columns)
    return _mixed(columns) if example is None else example


def _few_different(columns: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.int64] | None:
    """Compare with the first row that is left, again and again; None if that takes too often."""
    example = np.full(columns[0].size, -1)
    left = 0
    for _ in range(_FEW):
        is_equal = columns[0] == columns[0][left]
        for column in columns[1:]:
            is_equal &= column == column[left]
        example[is_equal] = left
        left = int(np.argmin(example))
        if example[left] >= 0:
            return example
    return None


def _mixed(columns: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.int64]:
    """Find equal rows by a number mixed from their words."""
    n_rows = columns[0].size
    n_bits = max(8, (2 * n_rows).bit_length())
    chance = np.random.default_rng(n_rows)
    example = np.arange(n_rows)
    pending = example
    for _ in range(_N_ROUNDS):
        odd = chance.integers(1, 2**63, size=len(columns) + 1, dtype=np.uint64) * np.uint64(2)
        odd += np.uint64(1)
        mixed = columns[0] * odd[0]
        for column, factor in zip(columns[1:], odd[1:], strict=False):
            mixed += column * factor
        place = (mixed ^ (mixed >> np.uint64(29))) * odd[-1] >> np.uint64(64 - n_bits)
        table = np.empty(2**n_bits, np.int64)
        table[place[::-1]] = np.arange(pending.size)[::-1]
        found = table[place]
        # A mix that is equal is a guess; the words decide.
        is_equal = np.ones(pending.size, np.bool_)
        for column in columns:
            is_equal &= column[found] == column
        example[pending[is_equal]] = pending[found[is_equal]]
        if is_equal.all():
            return example
        pending, columns = pending[~is_equal], [column[~is_equal] for column in columns]
    first: dict[tuple[int, ...], int] = {}
    for row, text in zip(
        pending.tolist(), zip(*(c.tolist() for c in columns), strict=True), strict=True
    ):
        example[row] = first.setdefault(text, row)
    return example
