from pathlib import Path

import pytest

from tests.benchmarks import skab, tep, tsb


@pytest.mark.data("tep")
def test_faults_of_a_chemical_plant_are_found_without_false_alarms(real_data: Path) -> None:
    figures = tep.run(real_data)["figures"]

    assert figures["least_detected_ratio"] >= 0.95
    assert figures["false_alarm_ratio"] <= 0.02
    assert figures["causes_named_ratio"] == 1.0


@pytest.mark.data("skab")
def test_valve_faults_are_found_with_few_false_alarms(real_data: Path) -> None:
    result = skab.run(real_data)

    figures = result["figures"]
    assert figures["n_events_found"] >= 14
    assert figures["n_false_alarms"] <= 6
    assert figures["pooled_f1"] > result["against"]["always_alarm_f1"]


@pytest.mark.data("tsb_nab_subset")
def test_shapes_are_ranked_better_than_most_published_detectors_do(real_data: Path) -> None:
    figures = tsb.run(real_data)["figures"]

    assert figures["n_published_below"] >= 24
    assert figures["vus_pr_causal"] > 0.2
