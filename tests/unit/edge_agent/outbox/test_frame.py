"""Frames give back what they were given, bit for bit; thinning leaves what its twin leaves."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.errors import FrameError
from edge_agent.outbox.frame import Columns, pack, sorted_by_series, unpack
from edge_agent.outbox.thinning import survivors
from tests.naive import outbox as naive

VALUES = st.one_of(
    st.floats(allow_infinity=False),
    st.floats(allow_infinity=False, allow_nan=False, width=32),
    st.integers(-(10**6), 10**6).map(lambda number: number / 1000),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2.0**53, 1e22]),
)
SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 2**24),
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**4).map(lambda n: n * 10**9)),
        VALUES,
        st.integers(0, 2),
    ),
    max_size=40,
)


def columns(samples: list[tuple[int, int, float, int]]) -> Columns:
    series, time_ns, value, quality = zip(*samples, strict=True) if samples else ((),) * 4
    return Columns(
        np.array(series, dtype=np.uint32),
        np.array(time_ns, dtype=np.int64),
        np.array(value, dtype=np.float64),
        np.array(quality, dtype=np.uint8),
    )


@given(SAMPLES)
@example([(1, -(2**63), 1.0, 0), (1, 2**63 - 1, 2.0, 0)])
@example([(5, 7, float("nan"), 2)] * 3)
def test_a_frame_gives_back_the_same_bits(samples: list[tuple[int, int, float, int]]) -> None:
    before = sorted_by_series(columns(samples))

    after = unpack(pack(before))

    assert after.series.tolist() == before.series.tolist()
    assert after.time_ns.tolist() == before.time_ns.tolist()
    assert after.quality.tolist() == before.quality.tolist()
    is_nan = np.isnan(before.value)
    assert np.isnan(after.value).tolist() == is_nan.tolist()
    assert after.value[~is_nan].tobytes() == before.value[~is_nan].tobytes()


@given(SAMPLES)
def test_sorting_keeps_the_order_within_a_series(
    samples: list[tuple[int, int, float, int]],
) -> None:
    after = sorted_by_series(columns(samples))

    assert after.time_ns.tolist() == [
        each[1] for each in sorted(samples, key=lambda sample: sample[0])
    ]


@given(st.binary(max_size=200))
def test_no_bytes_but_frames_are_read(noise: bytes) -> None:
    whole = pack(columns([(1, 5, 2.5, 0), (2, 6, 3.25, 1)]))
    for frame in (noise, whole[:-1], whole[:3], bytes([9]) + whole[1:]):
        with pytest.raises(FrameError):
            unpack(frame)


def test_values_as_sensors_give_them_take_few_bytes() -> None:
    chance = np.random.default_rng(1)
    n = 1000
    value = chance.normal(20, 5, n).round(3)
    frame = pack(
        Columns(
            np.arange(n, dtype=np.uint32),
            np.full(n, 1_790_000_000_000_000_000),
            value,
            np.zeros(n, dtype=np.uint8),
        )
    )

    assert len(frame) < 3 * n


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 200).map(lambda n: n * 1_000_000_000),
            st.one_of(st.integers(-3, 3).map(float), st.just(float("nan"))),
            st.integers(0, 2),
        ),
        max_size=60,
    )
)
def test_thinning_leaves_what_the_plain_version_leaves(
    samples: list[tuple[int, int, float, int]],
) -> None:
    given_columns = columns(samples)

    stays = survivors(given_columns)

    wanted = naive.survivors(*map(list, zip(*samples, strict=True))) if samples else set()
    assert set(np.flatnonzero(stays).tolist()) == wanted
