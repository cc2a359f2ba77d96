"""Fixtures for all tests: real servers, real data, and an honest summary of what was left out."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter

from tests.servers import launch
from tests.servers.availability import ROOT, SERVER_NAMES, are_servers_required, is_available

# Shared machines are slow at times; a law does not become wrong by taking longer.
hypothesis.settings.register_profile("staybolt", deadline=None, print_blob=True)
hypothesis.settings.load_profile("staybolt")

pytest_plugins = ["tests.contract.registry_databases"]

_left_out: dict[str, int] = {}


def data_folder() -> Path:
    """Where the real data lie, whether or not they are there."""
    return Path(os.environ.get("STAYBOLT_DATA") or ROOT.parent / "shared" / "data")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip by name what this machine can't exercise; with STAYBOLT_REQUIRE_SERVERS=1, fail."""
    for marker in item.iter_markers("server"):
        for name in marker.args:
            if name not in SERVER_NAMES:
                pytest.fail(f"no server is called {name}; there are {', '.join(SERVER_NAMES)}")
            if not is_available(name):
                _leave_out(name, f"{name} is not installed; `make servers` installs it as root")
    for marker in item.iter_markers("data"):
        for name in marker.args:
            if not (data_folder() / name).is_dir():
                _left_out[f"real data {name}"] = _left_out.get(f"real data {name}", 0) + 1
                pytest.skip(f"{data_folder() / name} is not there; point STAYBOLT_DATA at the data")


def _leave_out(name: str, reason: str) -> None:
    if are_servers_required():
        pytest.fail(f"STAYBOLT_REQUIRE_SERVERS=1 but {reason}")
    _left_out[name] = _left_out.get(name, 0) + 1
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say what was not exercised, so that green is not mistaken for complete."""
    if _left_out:
        left_out = ", ".join(f"{name} ({count} tests)" for name, count in _left_out.items())
        terminalreporter.write_line(f"NOT EXERCISED HERE: {left_out}", yellow=True)


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
