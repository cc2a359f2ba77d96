"""Thinned charts keep every extreme, like the plain loop."""

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from api.health.thinning import thin_keeping_extremes

values = arrays.arrays(
    np.float64,
    st.integers(1, 80),
    elements=st.one_of(st.floats(-5, 5), st.just(float("nan"))),
)


def naive_thin(
    time_ns: list[int], value: list[float], start_ns: int, end_ns: int, max_points: int
) -> list[int]:
    if len(time_ns) <= max_points:
        return list(range(len(time_ns)))
    n_slices = max_points // 2
    width = -(-(end_ns - start_ns) // n_slices)
    chosen: set[int] = set()
    for part in range(n_slices):
        inside = [i for i, t in enumerate(time_ns) if (t - start_ns) // width == part]
        known = [i for i in inside if np.isfinite(value[i])]
        if known:
            chosen.add(min(known, key=lambda i: (value[i], i)))
            highest = max(value[i] for i in known)
            chosen.add(max(i for i in known if value[i] == highest))
        elif inside:
            chosen.add(inside[0])
    return sorted(chosen)


@hypothesis.given(value=values, max_points=st.integers(2, 40), data=st.data())
def test_thinning_is_the_plain_loop(
    value: np.ndarray, max_points: int, data: st.DataObject
) -> None:
    gaps = data.draw(arrays.arrays(np.int64, value.size, elements=st.integers(0, 9)))
    time_ns = np.cumsum(gaps)
    end_ns = int(time_ns[-1]) + 1

    chosen = thin_keeping_extremes(time_ns, value, start_ns=0, end_ns=end_ns, max_points=max_points)

    expected = naive_thin(time_ns.tolist(), value.tolist(), 0, end_ns, max_points)
    assert chosen.tolist() == expected
    assert chosen.size <= max_points
    known = value[np.isfinite(value)]
    if known.size:
        assert np.nanmin(value[chosen]) == known.min()
        assert np.nanmax(value[chosen]) == known.max()
