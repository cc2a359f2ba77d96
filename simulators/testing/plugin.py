"""A pytest plugin: a running plant in three lines of a test.

``staybolt_plant`` starts a plant of its own for each call, in a folder of the test, and stops it
after the test::

    def test_my_reader(staybolt_plant):
        plant = staybolt_plant("two-pumps")
        assert plant.mqtt["port"]

It costs nothing where it is not used: only the standard library and pytest are loaded at start.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from simulators.faults.client import ControlClient

_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 10.0
_CLIENT_URI: Final = "urn:staybolt:test-client"


@dataclass(frozen=True, slots=True)
class RunningPlant:
    """A plant that runs.

    Parameters
    ----------
    folder : Path
        Its ``--dir``.
    addresses : dict
        What plant.json says.
    certificate, private_key : Path
        What an OPC UA client is let in with.
    faults : ControlClient
        Makes and mends faults.
    """

    folder: Path
    addresses: dict[str, Any]
    certificate: Path
    private_key: Path
    faults: "ControlClient"

    @property
    def opcua(self) -> list[dict[str, Any]]:
        """Its OPC UA servers: name, endpoint, namespace_uri, server_certificate, users."""
        servers: list[dict[str, Any]] = self.addresses["opcua"]
        return servers

    @property
    def mqtt(self) -> dict[str, Any]:
        """Its broker: host, port, user, password_file, topic; empty without one."""
        broker: dict[str, Any] | None = self.addresses["mqtt"]
        return broker or {}

    @property
    def truth(self) -> list[dict[str, Any]]:
        """What is true of its machines: lives, maintenance, wear, sensor faults."""
        lines = (self.folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


StartPlant = Callable[..., RunningPlant]


@pytest.fixture
def staybolt_plant(tmp_path: Path) -> Iterator[StartPlant]:
    """Start simulated plants.

    Parameters
    ----------
    tmp_path : Path
        pytest's own.

    Yields
    ------
    callable
        ``staybolt_plant(scenario, *options, seed=7)``: name or path of a scenario, further options
        of ``staybolt-sim run``; gives a `RunningPlant` when everything listens.
    """
    with contextlib.ExitStack() as running:

        def start(scenario: str = "two-pumps", *options: str, seed: int = 7) -> RunningPlant:
            number = sum(path.name.startswith("plant-") for path in tmp_path.iterdir()) + 1
            return running.enter_context(
                _plant(tmp_path / f"plant-{number}", scenario, options, seed)
            )

        yield start


@contextlib.contextmanager
def _plant(
    folder: Path, scenario: str, options: tuple[str, ...], seed: int
) -> Iterator[RunningPlant]:
    from simulators.faults.client import ControlClient
    from simulators.keys import make_identity

    folder.mkdir()
    client = make_identity(folder / "client", _CLIENT_URI, is_client=True)
    command = [sys.executable, "-m", "simulators", "run", "--dir", str(folder), "--seed", str(seed)]
    command += ["--scenario", scenario, "--control", "--no-wait"]
    command += ["--trust-client", str(client.certificate), *options]
    log = folder / "plant.log"
    with log.open("w", encoding="utf-8") as output:
        program = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own
    try:
        addresses = _wait_for(folder / "plant.json", program, log)
        with ControlClient.of_plant(folder) as faults:
            yield RunningPlant(folder, addresses, client.certificate, client.private_key, faults)
    finally:
        program.terminate()
        try:
            program.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _wait_for(path: Path, program: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    give_up_s = time.monotonic() + _START_TIMEOUT_S
    while not path.exists():
        if program.poll() is not None or time.monotonic() > give_up_s:
            said = log.read_text(encoding="utf-8").strip() or f"nothing for {_START_TIMEOUT_S:g} s"
            pytest.fail(f"the simulated plant did not start: {said}", pytrace=False)
        time.sleep(0.02)
    addresses: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return addresses
