"""The day of `ingest_order`, in CI size."""

from pathlib import Path

import numpy as np

from tests.reliability.ingest_orders import bring, recorded_day


def test_a_day_brought_in_any_order_parts_and_repeats_is_stored_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    day = recorded_day(n_machines=1, every_s=120, seed=7)

    found = {bring(day, tmp_path, seed)[0] for seed in range(9)}

    assert len(found) == 1


def test_a_single_bit_of_a_single_sample_would_be_seen(tmp_path: Path) -> None:
    day = recorded_day(n_machines=1, every_s=120, seed=7)
    other = day.value.copy()
    good = int(np.flatnonzero(~np.isnan(other))[17])
    other[good] = np.nextafter(other[good], np.inf)
    (tmp_path / "other").mkdir()

    as_recorded, _ = bring(day, tmp_path, 1)
    day.value[:] = other
    changed, _ = bring(day, tmp_path / "other", 1)

    assert as_recorded != changed
