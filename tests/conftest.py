"""Fixtures for all tests: real servers, real data, and an honest summary of what was left out."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter

from tests.benchmarks.common import data_folder
from tests.servers import launch
from tests.servers.availability import SERVER_NAMES, are_servers_required, is_available

# Shared machines are slow at times; a law does not become wrong by taking longer.
hypothesis.settings.register_profile("staybolt", deadline=None, print_blob=True)
hypothesis.settings.load_profile("staybolt")

pytest_plugins = ["tests.contract.registry_databases"]

LEFT_OUT = "not exercised here:"
SHOWN = "shown"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip by name what this machine can't exercise; with STAYBOLT_REQUIRE_SERVERS=1, fail."""
    for marker in item.iter_markers("server"):
        for name in marker.args:
            if name not in SERVER_NAMES:
                pytest.fail(f"no server is called {name}; there are {', '.join(SERVER_NAMES)}")
            if not is_available(name):
                _leave_out(name, "it is not installed; `make servers` installs it as root")
    for marker in item.iter_markers("data"):
        for name in marker.args:
            if not (data_folder() / name).is_dir():
                pytest.skip(
                    f"{LEFT_OUT} real data {name}: {data_folder() / name} is not there; "
                    "point STAYBOLT_DATA at the data"
                )


def _leave_out(name: str, reason: str) -> None:
    if are_servers_required():
        pytest.fail(f"STAYBOLT_REQUIRE_SERVERS=1 but {name} can't be used: {reason}")
    pytest.skip(f"{LEFT_OUT} {name}: {reason}")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Show the figures tests measured, and what was not exercised: green is not yet complete."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == SHOWN:
                terminalreporter.write_line(str(text))
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    names = Counter(
        reason.split(LEFT_OUT, 1)[1].split(":")[0].strip()
        for reason in reasons
        if LEFT_OUT in reason
    )
    if names:
        told = ", ".join(f"{name} ({count} tests)" for name, count in sorted(names.items()))
        terminalreporter.write_line(f"NOT EXERCISED HERE: {told}", yellow=True)


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print something with the summary, from whichever process the test runs in."""
    return lambda text: record_property(SHOWN, text)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data; tests that use it are marked ``data``."""
    return data_folder()


@pytest.fixture(scope="session")
def mosquitto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Address]:
    """MQTT broker; mark the test ``server("mosquitto")``."""
    with launch.mosquitto(tmp_path_factory.mktemp("mosquitto")) as address:
        yield address


@pytest.fixture(scope="session")
def influxdb1_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.HttpServer]:
    """InfluxDB 1.x; mark the test ``server("influxd")``."""
    with launch.influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[launch.HttpServer]:
    """PostgreSQL 15; mark the test ``server("postgres")``. Its ``url`` is for SQLAlchemy."""
    with launch.postgres() as server:
        yield server
