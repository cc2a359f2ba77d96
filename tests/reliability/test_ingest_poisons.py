"""The bodies of `ingest_poison`, in CI size."""

import random
from pathlib import Path

from tests.reliability.ingest_poisons import POISONS, poison


def test_one_bad_line_among_a_thousand_is_set_aside_with_its_reason_and_all_others_stored(
    tmp_path: Path,
) -> None:
    n_times = len(POISONS)

    found = poison(tmp_path, n_times, random.Random(1))  # noqa: S311 - places, not secrets

    assert found.n_stored == 999 * n_times
    assert found.n_set_aside == n_times
    assert found.n_with_reason == n_times
