import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.arrays import ShapeError
from analytics.health.explanations import FaultSignature, nearest_fault, reasons, sentence

KNOWN = [
    FaultSignature("outer-race spall", (5.0, 1.0, 0.0)),
    FaultSignature("seal leak", (0.0, -2.0, 3.0)),
]
SIGNALS, UNITS = ("vibration", "pressure", "quality ratio"), ("mm/s", "bar", "")


@given(factor=st.floats(0.01, 1e3), which=st.integers(0, 1))
def test_a_fault_is_known_by_its_proportions_whatever_its_size(factor: float, which: int) -> None:
    found = nearest_fault(factor * np.array(KNOWN[which].direction), KNOWN)

    assert found is not None
    assert (found.name, found.cosine) == (KNOWN[which].name, 1.0)


@given(seed=st.integers(0, 10_000))
def test_the_nearest_is_that_of_the_cosines_written_out(seed: int) -> None:
    z = np.random.default_rng(seed).normal(size=3)

    found = nearest_fault(z, KNOWN, least=-1.0)

    cosines = {
        one.name: sum(a * b for a, b in zip(z.tolist(), one.direction, strict=True))
        / np.hypot(np.hypot(*z[:2]), z[2])
        / sum(b * b for b in one.direction) ** 0.5
        for one in KNOWN
    }
    assert found is not None
    assert found.name == max(cosines, key=lambda name: float(cosines[name]))


def test_what_looks_like_nothing_known_is_not_given_a_name() -> None:
    assert nearest_fault(np.array([-5.0, 0.0, 0.0]), KNOWN) is None
    assert nearest_fault(np.zeros(3), KNOWN) is None
    assert nearest_fault(np.full(3, np.nan), KNOWN) is None


def test_a_person_reads_numbers_with_units_and_the_largest_part_first() -> None:
    why = reasons(
        SIGNALS,
        UNITS,
        np.array([8.21, 2.0, 0.5]),
        np.array([2.9, 3.0, 0.9]),
        np.array([6.1, -3.0, -1.0]),
        np.array([0.7, 0.25, 0.05]),
    )

    told = sentence("pump-01", why, nearest_fault(np.array([5.0, 1.0, 0.0]), KNOWN))

    assert told == (
        "pump-01: vibration is 8.21 mm/s, usually 2.9 mm/s (6.1 healthy spreads above, 70 % of the "
        "alarm); pressure is 2 bar, usually 3 bar (3.0 healthy spreads below, 25 % of the alarm). "
        "It looks like outer-race spall (likeness 1.00 of 1)."
    )


def test_a_silent_signal_is_told_without_a_number() -> None:
    why = reasons(
        SIGNALS, UNITS, np.full(3, np.nan), np.ones(3), np.array([4.0, 0.0, 0.0]),
        np.array([1.0, 0.0, 0.0]),
    )  # fmt: skip

    assert "is not measured just now" in sentence("pump-01", why)
    assert sentence("pump-01", []) == "pump-01: no signal stands out."


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="one size per signal"):
        nearest_fault(np.ones(2), KNOWN)
    with pytest.raises(ShapeError, match="one of each per signal"):
        reasons(SIGNALS, UNITS, np.ones(2), np.ones(3), np.ones(3), np.ones(3))
