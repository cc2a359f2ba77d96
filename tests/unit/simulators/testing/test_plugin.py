"""The pytest plugin costs nothing where it is not used, and works in somebody else's project."""

import pytest

pytest_plugins = ["pytester"]

THREE_LINES = """
def test_my_reader(staybolt_plant):
    plant = staybolt_plant("two-pumps", "--history-days", "0.01")
    plant.faults.ask(do="network", server="mqtt", mode="half-open")
    assert plant.mqtt["port"] and plant.truth and plant.certificate.is_file()
"""

UNUSED = """
import sys

def test_nothing_heavy_is_loaded():
    heavy = {"numpy", "pydantic", "asyncua", "paho", "pyarrow", "cryptography", "iotcore"}
    assert not heavy & set(sys.modules)
    assert not {name for name in sys.modules if name.startswith("simulators.")} - {
        "simulators.testing", "simulators.testing.plugin"
    }
"""

IMPOSSIBLE = """
def test_a_plant_that_can_not_be(staybolt_plant):
    staybolt_plant("atlantis")
"""

# The child knows the plugin by its entry point alone; others of ours would load heavy parts.
ALONE = ("-p", "no:hypothesispytest", "-p", "no:cacheprovider", "-p", "no:xdist")


def test_three_lines_work_in_a_project_of_somebody_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(THREE_LINES)

    done = pytester.runpytest_subprocess(*ALONE, "-W", "error", timeout=90)

    done.assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_loads_nothing_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(UNUSED)

    done = pytester.runpytest_subprocess(*ALONE, timeout=60)

    done.assert_outcomes(passed=1)


def test_a_plant_that_can_not_be_fails_the_test_with_the_plants_own_words(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(IMPOSSIBLE)

    done = pytester.runpytest_subprocess(*ALONE, timeout=60)

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*the simulated plant did not start*'atlantis' is not known*"])


def test_pytest_lists_the_fixture_with_what_it_is_for(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_subprocess(*ALONE, "--fixtures", timeout=60)

    done.stdout.fnmatch_lines(["staybolt_plant*", "*Start simulated plants.*"])
