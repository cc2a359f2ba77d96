"""The installer, in a folder that stands for a machine's root; and the unit that it installs.

There is no systemd here: making the user and starting the service are not run. The unit is read by
systemd's own `systemd-analyze` where there is one, and by a parser of its options in any case.
"""

import configparser
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.edge_fixtures import wait_until
from tests.servers.availability import ROOT

INSTALLER = ROOT / "deploy" / "edge" / "install.sh"
UNIT = ROOT / "deploy" / "edge" / "staybolt-edge.service"
BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


def installer(
    *arguments: str | Path, script: Path = INSTALLER
) -> "subprocess.CompletedProcess[str]":
    command = ["sh", script, "--python", BASE_PYTHON, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheelhouse")
    done = installer("--wheelhouse", folder)
    if done.returncode != 0 and not any(folder.iterdir()):
        pytest.skip(f"no wheels can be had here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Iterator[Path]:
    """A machine on which the agent was installed without a network."""
    root = tmp_path_factory.mktemp("device")
    done = installer("--root", root, "--offline", wheelhouse)
    assert done.returncode == 0, done.stderr
    assert "installed release 1" in done.stdout
    yield root
    shutil.rmtree(root, ignore_errors=True)


def release(root: Path) -> str:
    return (root / "opt/staybolt-edge/current").readlink().name


def test_a_fresh_machine_gets_program_unit_settings_and_a_place_for_samples(device: Path) -> None:
    settings = device / "etc/staybolt-edge/edge.toml"

    assert settings.read_text() == (ROOT / "edge_agent/sample_config.toml").read_text()
    assert settings.stat().st_mode & 0o777 == 0o640
    assert (device / "var/lib/staybolt-edge").stat().st_mode & 0o777 == 0o700
    assert (device / "etc/systemd/system/staybolt-edge.service").read_text() == UNIT.read_text()
    link = device / "usr/local/bin/staybolt-edge"
    assert str(link.readlink()) == "/opt/staybolt-edge/current/bin/staybolt-edge"
    assert (device / "opt/staybolt-edge/current/share/edge-agent.md").exists()


def test_what_was_installed_runs_and_tells_how_it_is(device: Path, tmp_path: Path) -> None:
    program = str(device / "opt/staybolt-edge/current/bin/staybolt-edge")
    (tmp_path / "token").write_text("t")
    config = tmp_path / "edge.toml"
    config.write_text("""
site = "mill-7"
state_dir = "state"
[uplink]
url = "http://127.0.0.1:9"
token_file = "token"
[status]
port = 0
[[mqtt]]
name = "hall-2"
host = "127.0.0.1"
port = 9
[[mqtt.topics]]
topic = "plant/{machine}/telemetry"
""")

    def status() -> "subprocess.CompletedProcess[str]":
        command = [program, "status", "--config", str(config), "--json"]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")

    agent = subprocess.Popen(
        [program, "run", "--config", str(config)], cwd="/", stderr=subprocess.PIPE
    )
    try:
        wait_until("the agent answers", lambda: status().returncode == 0, 60)
        assert json.loads(status().stdout)["site"] == "mill-7"
    finally:
        agent.terminate()
        agent.communicate(timeout=30)
    assert agent.returncode == 0
    assert status().returncode == 3


def test_an_upgrade_keeps_settings_and_a_failed_one_changes_nothing(
    device: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    settings = device / "etc/staybolt-edge/edge.toml"
    settings.write_text(settings.read_text().replace('site = "mill-7"', 'site = "mill-8"'))
    before = release(device)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "staybolt-9.9.9-py3-none-any.whl").write_bytes(b"not a wheel")

    failed = installer("--root", device, "--offline", broken)
    assert failed.returncode != 0
    assert "the release before is untouched" in failed.stderr
    assert release(device) == before
    n_left = len(list((device / "opt/staybolt-edge/releases").iterdir()))

    upgraded = installer("--root", device, "--offline", wheelhouse)
    assert upgraded.returncode == 0, upgraded.stderr
    assert int(release(device)) == int(before) + 1
    assert 'site = "mill-8"' in settings.read_text()
    assert len(list((device / "opt/staybolt-edge/releases").iterdir())) == n_left + 1

    settings.write_text(settings.read_text() + "\nnonsense = 1\n")
    refused = installer("--root", device, "--offline", wheelhouse)
    assert refused.returncode != 0
    assert "nonsense: unknown key" in refused.stderr
    assert int(release(device)) == int(before) + 1

    back = installer("--root", device, "--rollback")
    assert back.returncode == 0, back.stderr
    assert release(device) == before


def test_removing_keeps_samples_unless_told_otherwise(tmp_path: Path, wheelhouse: Path) -> None:
    program = tmp_path / "opt/staybolt-edge/releases/1/bin"
    state = tmp_path / "var/lib/staybolt-edge"
    for folder in (program, state, tmp_path / "etc/staybolt-edge"):
        folder.mkdir(parents=True)
    (state / "outbox.sqlite").write_text("samples")

    first = installer("--root", tmp_path, "--uninstall")
    again = installer("--root", tmp_path, "--uninstall")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert not (tmp_path / "opt/staybolt-edge").exists()
    assert (state / "outbox.sqlite").read_text() == "samples"
    assert installer("--root", tmp_path, "--uninstall", "--purge").returncode == 0
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--offline", "/nowhere"), "/nowhere is not there; make it with --wheelhouse"),
        (("--frobnicate",), "--frobnicate: unknown option; see --help"),
        (("--python", "/nowhere/python"), "/nowhere/python is not there; install Python 3.11"),
        (("--rollback",), "holds no other release; install one"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = installer("--root", tmp_path, *arguments)

    assert done.returncode == 1
    assert said in done.stderr
    assert not list(tmp_path.glob("opt/staybolt-edge/releases/*"))


def test_the_installer_explains_itself() -> None:
    shown = installer("--help").stdout

    assert "install.sh --offline WHEELHOUSE" in shown
    assert "set -eu" not in shown


def test_the_unit_feeds_a_watchdog_reloads_and_is_shut_in() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    unit.read_string(UNIT.read_text())
    service = unit["Service"]

    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) <= 60
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["ExecStart"].endswith("run --config /etc/staybolt-edge/edge.toml")
    assert service["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["User"] not in {"", "root"}
    assert int(service["MemoryMax"].removesuffix("M")) <= 512
    for option in (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "LockPersonality",
    ):
        assert service[option] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_systemd_itself_reads_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there; `make servers` does not bring it")
    unit = tmp_path / "staybolt-edge.service"
    text = UNIT.read_text().replace("/opt/staybolt-edge/current/bin/staybolt-edge", "/bin/true")
    unit.write_text(text)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}

    verified = subprocess.run(
        [analyze, "verify", unit], capture_output=True, text=True, check=False, env=environment
    )
    exposed = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert "staybolt-edge.service:" not in verified.stderr, verified.stderr
    assert exposed.returncode == 0, exposed.stdout[-500:]
