"""Power cuts at every write of the outbox: images opened, acknowledged records lost or changed."""

import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.common import report
from tests.reliability.power_cuts import record, try_images

N_IMAGES: Final = 12_000
N_COMMITS: Final = 80


def run(data: Path) -> dict[str, Any]:
    """Every prefix of the writes of several runs, in all four ways; and with a planted fault."""
    n_images = n_lost = n_wrong = n_unopened = seed = n_steps = 0
    began = time.process_time()
    while n_images < N_IMAGES:
        with tempfile.TemporaryDirectory(dir=_fast()) as folder:
            steps = record(Path(folder), seed=seed, n_commits=N_COMMITS)
            found = try_images(steps, Path(folder), seed=seed)
        n_images, n_steps, seed = n_images + found.n_images, n_steps + found.n_steps, seed + 1
        n_lost += len(found.lost)
        n_wrong += len(found.wrong)
        n_unopened += len(found.unopened)
    cpu_s = time.process_time() - began
    with tempfile.TemporaryDirectory(dir=_fast()) as folder:
        steps = record(Path(folder), seed=1, n_commits=30, synchronous="NORMAL")
        planted = try_images(steps, Path(folder), n_at_most=500)
    print(f"{n_images} images after {n_steps} steps of {seed} runs: {n_lost} lose something,")
    print(f"{n_wrong} hold something wrong, {n_unopened} can't be opened; {cpu_s:.0f} s of CPU")
    print(f"with synchronous=NORMAL planted: {len(planted.lost)} of {planted.n_images} lose")
    return report(
        "edge_power_cuts",
        {
            "images": float(n_images),
            "images_that_lose": float(n_lost),
            "images_with_wrong_values": float(n_wrong),
            "images_not_opened": float(n_unopened),
            "planted_fault_found_in": float(len(planted.lost)),
        },
        targets=[
            ("images", ">=", 5000),
            ("images_that_lose", "<=", 0),
            ("images_with_wrong_values", "<=", 0),
            ("images_not_opened", "<=", 0),
            ("planted_fault_found_in", ">=", 1),
        ],
    )


def _fast() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108 - a disk in memory, if there is one
    return str(memory) if memory.is_dir() else None
