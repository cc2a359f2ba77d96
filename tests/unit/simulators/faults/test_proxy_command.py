"""`staybolt-sim proxy` passes connections on, and fails when it is asked to."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from simulators.errors import ScenarioError
from simulators.faults.client import ControlClient
from simulators.loopback import LOOPBACK


def test_the_command_puts_a_door_before_any_server(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        command = [sys.executable, "-c", _PROXY_PROGRAM, str(tmp_path)]
        command += [str(server.getsockname()[1])]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            where = wait_for(tmp_path / "proxy.json", program)
            client = socket.create_connection((LOOPBACK, where["port"]), timeout=10.0)
            behind, _ = server.accept()
            client.sendall(b"through")
            assert behind.recv(100) == b"through"

            with ControlClient.of_plant(tmp_path) as door:
                with pytest.raises(ScenarioError, match="a proxy has no sensor"):
                    door.ask(do="sensor", machine="a", signal="b", fault="bad")
                with pytest.raises(ScenarioError, match="there is no 'moon'"):
                    door.ask(do="network", server="moon", mode="pass")
                with pytest.raises(ScenarioError, match="bytes_per_s: 0 is out of bounds"):
                    door.ask(do="network", server="proxy", mode="slow", bytes_per_s=0)
                door.ask(do="network", server="proxy", mode="reset")
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
                told = door.ask(do="status")
                assert (told["state"]["mode"], told["counts"]["n_to_server_bytes"]) == ("reset", 7)
                door.clear()
            behind.close()
            client.close()
        finally:
            program.terminate()
            said, complained = program.communicate(timeout=10.0)
    assert program.returncode == 0, complained
    assert b"1 connections, 7 bytes to the server, 0 to clients" in said
    assert not (tmp_path / "proxy.json").exists()


_PROXY_PROGRAM = """
import argparse, pathlib, sys
from simulators.commands import proxy
parser = argparse.ArgumentParser()
proxy.add_to(parser.add_subparsers())
options = parser.parse_args(["proxy", "--dir", sys.argv[1], "--to", sys.argv[2]])
options.run(options)
"""


def wait_for(path: Path, program: "subprocess.Popen[bytes]") -> dict[str, Any]:
    give_up_s = time.monotonic() + 20.0
    while not path.exists():
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    document: dict[str, Any] = json.loads(path.read_text())
    return document
