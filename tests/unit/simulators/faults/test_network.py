"""What a network does is possible, and the bits it flips are the same in any pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.faults.network import PROXY_MODES, WORDS, Garbler, ProxyState
from tests.naive import simulators_faults as naive


@given(
    data=st.binary(max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    every_bytes=st.integers(1, 60),
    seed=st.integers(0, 100),
)
def test_pieces_are_garbled_as_the_whole(
    data: bytes, cuts: list[int], every_bytes: int, seed: int
) -> None:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    garbler = Garbler(np.random.default_rng(seed))

    came, n_flips, begin = b"", 0, 0
    for end in ends:
        piece, n_here = garbler.garbled(data[begin:end], every_bytes)
        came, n_flips, begin = came + piece, n_flips + n_here, end

    assert came == naive.garbled(data, every_bytes, np.random.default_rng(seed))
    wrong = [a ^ b for a, b in zip(came, data, strict=True) if a != b]
    assert len(wrong) == n_flips
    assert all(bits.bit_count() == 1 for bits in wrong)


def test_as_many_bits_are_flipped_as_was_asked_for() -> None:
    n_bytes, every_bytes = 1_000_000, 100
    expected = n_bytes / every_bytes

    _, n_flips = Garbler(np.random.default_rng(5)).garbled(bytes(n_bytes), every_bytes)

    assert abs(n_flips - expected) < 4 * np.sqrt(expected * (1 - 1 / every_bytes))


def test_a_direction_leaves_the_other_alone() -> None:
    one_way = ProxyState("half-open", direction="to-client")

    assert one_way.mode_of("to-client") == "half-open"
    assert one_way.mode_of("to-server") == "pass"
    assert ProxyState("slow").mode_of("to-server") == "slow"
    assert ProxyState("flip").mode_of("to-server") == "pass"
    assert ProxyState("flip", direction="both").mode_of("to-server") == "flip"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mode": "burn"}, "mode 'burn' is not known; choose among pass"),
        ({"bytes_per_s": 1e-300}, "bytes_per_s: 1e-300 is out of bounds; give 1 to"),
        ({"delay_s": float("nan")}, "delay_s: nan is out of bounds"),
        ({"jitter_s": -1.0}, "jitter_s: -1 is out of bounds"),
        ({"piece_bytes": 0}, "piece_bytes: 0 is out of bounds"),
        ({"direction": "up"}, "direction 'up' is not known"),
        ({"mode": "refuse", "direction": "to-client"}, "direction: refuse ends whole connections"),
    ],
)
def test_impossible_networks_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        ProxyState(**change)  # type: ignore[arg-type]  # wrong on purpose


def test_every_mode_is_put_into_words() -> None:
    assert tuple(WORDS) == PROXY_MODES
