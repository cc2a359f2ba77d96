from pathlib import Path

import pytest

from tests.benchmarks import cmapss


@pytest.mark.data("cmapss")
def test_engines_of_nasa_are_judged_far_better_than_by_their_age(real_data: Path) -> None:
    result = cmapss.run(real_data)

    figures = result["figures"]
    for subset in ("FD001", "FD003"):
        assert figures[f"{subset}_rmse"] < 15.0, subset
        assert result["ratios"][f"{subset}_rmse_to_age_only"] < 0.5, subset
        assert figures[f"{subset}_late_start_rmse"] < 17.0, subset
        assert 0.7 <= figures[f"{subset}_coverage_80"] <= 0.95, subset
