"""Numbers as text: exactly what Python writes, for every number there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry.number_text import decimal_texts, integer_texts
from tests.strategies import INT64_MAX, INT64_MIN

N = 20_000


def texts(rows: np.ndarray) -> list[str]:
    return [bytes(row).replace(b"\0", b"").decode() for row in rows]


def assert_as_python(value: np.ndarray) -> None:
    assert texts(decimal_texts(value)) == [repr(number) for number in value.tolist()]


@given(st.lists(st.floats(), max_size=50))
def test_any_float_is_written_as_python_writes_it(numbers: list[float]) -> None:
    assert_as_python(np.array(numbers, dtype=np.float64))


@given(st.lists(st.integers(INT64_MIN, INT64_MAX), max_size=50))
def test_any_whole_number_is_written_as_python_writes_it(numbers: list[int]) -> None:
    value = np.array(numbers, dtype=np.int64)

    assert texts(integer_texts(value)) == [str(number) for number in numbers]


@pytest.mark.parametrize("seed", range(3))
def test_the_hard_cases_are_written_as_python_writes_them(seed: int) -> None:
    """Many digits, few, ties, powers and their neighbours, every exponent."""
    chance = np.random.default_rng(seed)
    powers = np.concatenate([2.0 ** np.arange(-80, 80), 10.0 ** np.arange(-20, 25)])

    for value in (
        chance.normal(20, 5, N),
        chance.normal(20, 5, N).round(2),
        chance.normal(20, 5, N).astype(np.float32).astype(np.float64),
        -(10.0 ** chance.uniform(-5, 17, N)),
        chance.integers(0, 2**53, N) / 4.0,
        chance.integers(0, 2**53, N) / 8.0,
        chance.integers(0, 2**45, N) / 2.0 ** chance.integers(0, 52, N),
        chance.integers(0, 10**15, N) / 10.0 ** chance.integers(0, 16, N),
        chance.integers(0, 2**64, N, dtype=np.uint64).view(np.float64),
        powers,
        np.nextafter(powers, 0.0),
        np.nextafter(powers, np.inf),
        np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 9999999999999998.0, 1e16, 1e-4]),
    ):
        assert_as_python(value)
