"""Numbers and texts, many at once: equal to reading each by itself."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.telemetry.decimals import WIDTH, read_decimals, read_integers
from ingest.telemetry.spans import MAX_SPAN_BYTES, number_spans
from tests.naive import line_protocol as naive

TEXTS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: repr(number).encode()),
    st.decimals(-(10**15), 10**15, allow_nan=False, places=6).map(
        lambda number: str(number).encode()
    ),
    st.integers(-(10**20), 10**20).map(lambda number: str(number).encode()),
    st.text(st.sampled_from("0123456789.-e"), max_size=26).map(str.encode),
    st.binary(max_size=26),
)


def laid_out(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    length = np.array([len(text) for text in texts], np.int64)
    start = WIDTH + np.cumsum(length + 1) - length - 1
    raw = bytes(WIDTH) + b"".join(text + b"," for text in texts) + bytes(MAX_SPAN_BYTES)
    return np.frombuffer(raw, np.uint8), start, start + length


@given(st.lists(TEXTS, min_size=1, max_size=40))
@example([b"9007199254740993", b"0.1", b"-0.0", b"9007199254740993.0", b"18446744073709551615"])
@settings(max_examples=1000)
def test_a_decimal_that_is_read_is_the_nearest_float64(texts: list[bytes]) -> None:
    value, is_read = read_decimals(*laid_out(texts))

    for text, number, is_sure in zip(texts, value.tolist(), is_read.tolist(), strict=True):
        if is_sure:
            assert repr(naive.read_decimal(text)) == repr(number)


@given(st.lists(st.floats(-1e9, 1e9).map(lambda number: round(number, 5)), min_size=1))
def test_every_measured_value_of_fifteen_digits_is_read(numbers: list[float]) -> None:
    texts = [f"{number:.5f}".encode() for number in numbers]

    value, is_read = read_decimals(*laid_out(texts))

    assert is_read.all()
    assert value.tolist() == [float(text) for text in texts]


@given(st.lists(TEXTS, min_size=1, max_size=40))
@example([b"9223372036854775807", b"9223372036854775808", b"-9223372036854775807", b"-", b"--1"])
@settings(max_examples=500)
def test_an_integer_is_read_exactly_if_it_fits(texts: list[bytes]) -> None:
    value, is_read = read_integers(*laid_out(texts))

    for text, number, is_sure in zip(texts, value.tolist(), is_read.tolist(), strict=True):
        digits = text.removeprefix(b"-")
        fits = digits.isdigit() and len(digits) <= 19 and int(digits) < 2**63
        assert is_sure == fits
        assert not fits or number == int(text)


@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"", b"\0", b"a" * 256, b"ab"])),
                min_size=1, max_size=60))  # fmt: skip
@settings(max_examples=500)
def test_equal_texts_and_no_others_share_a_number(texts: list[bytes]) -> None:
    buffer, start, end = laid_out(texts)

    number, first = number_spans(buffer, start, end - start)

    assert (number.tolist(), first.tolist()) == naive.number_texts(texts)


def test_texts_made_to_collide_are_told_apart_by_their_bytes() -> None:
    # More texts than the table of the first round has places for without any collision.
    texts = [f"machine-{number % 3000:05d}".encode() for number in range(9000)]
    buffer, start, end = laid_out(texts)

    number, first = number_spans(buffer, start, end - start)

    assert (number.tolist(), first.tolist()) == naive.number_texts(texts)
