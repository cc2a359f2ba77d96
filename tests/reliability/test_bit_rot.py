"""Flipped bits: nothing wrong is forwarded, and no agent ends in a loop of crashes."""

from collections.abc import Callable
from pathlib import Path

from tests.reliability.bit_rot import try_flips

N_FLIPS = 400
"""The benchmark `edge_disk_full` flips more."""


def test_a_flipped_bit_forwards_nothing_wrong_and_never_ends_in_a_loop(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    outcomes = try_flips(tmp_path, N_FLIPS)

    show(f"bit rot: {N_FLIPS} flips, {dict(outcomes.most_common())}")
    assert outcomes["wrong"] == 0
    assert outcomes["crash loop"] == 0
    assert outcomes["damaged record"] > N_FLIPS // 20
    assert outcomes["file set aside"] > 0
