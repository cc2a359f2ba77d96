"""Power cuts at every write: what was acknowledged is there; and the harness can tell."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.power_cuts import Report, record, try_images
from tests.servers.availability import find_program

N_IMAGES = 5000

pytestmark = pytest.mark.skipif(find_program("strace") is None, reason="strace is not installed")


def cut(folder: Path, seed: int, n_commits: int, n_at_most: int, synchronous: str) -> Report:
    steps = record(folder, seed=seed, n_commits=n_commits, synchronous=synchronous)
    return try_images(steps, folder, seed=seed, n_at_most=n_at_most)


@pytest.mark.timeout(900)
def test_no_power_cut_loses_or_changes_what_was_acknowledged(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    n_images, seed = 0, 0
    while n_images < N_IMAGES:
        folder = tmp_path / str(seed)
        folder.mkdir()
        report = cut(folder, seed, 70, N_IMAGES - n_images + 200, "FULL")
        assert (report.lost, report.wrong, report.unopened) == ([], [], [])
        n_images, seed = n_images + report.n_images, seed + 1

    show(f"power cuts: {n_images} images of {seed} runs, 0 lost, 0 wrong, all opened")


def test_the_harness_sees_that_normal_synchronisation_loses_data(tmp_path: Path) -> None:
    report = cut(tmp_path, 1, 25, 150, "NORMAL")

    assert len(report.lost) > 10
    assert (report.wrong, report.unopened) == ([], [])
