"""The program: its commands, exit codes and words."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.__main__ import build_parser, main
from edge_agent.outbox import Outbox
from edge_agent.records import Entry, Misfit
from edge_agent.settings_file import SAMPLE_CONFIG

LINE = (
    b"telemetry,site=mill-7,machine=m,signal=flow_m3_h value=1.0,quality=0i 1700000000000000000\n"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The sample, with everything below a folder of its own."""
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE_CONFIG.read_text().replace("/var/lib/staybolt-edge", "state"))
    return path


def test_sample_config_prints_the_sample(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample-config"]) == 0

    assert capsys.readouterr().out == SAMPLE_CONFIG.read_text()


def test_keys_prints_the_path_of_the_certificate_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [main(["keys", "--state-dir", str(tmp_path)]) for _ in range(2)]

    first, second = capsys.readouterr().out.split()
    assert codes == [0, 0]
    assert first == second == str(tmp_path / "pki" / "own" / "certificate.der")
    assert (tmp_path / "pki" / "own" / "private_key.pem").stat().st_mode & 0o777 == 0o600


def test_check_names_every_missing_file_with_its_remedy(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--config", str(config)]) == 2

    shown = capsys.readouterr().out
    state = config.parent / "state"
    for expected in (
        "edge.toml: settings can be read",
        f"ok   edge.toml, state_dir: {state} can be written",
        f"MEND edge.toml, uplink.token_file: {state / 'uplink_token'} can't be read: No such file",
        "MEND edge.toml, opcua[0].password_file: ",
        "MEND edge.toml, opcua[0].trusted_servers_dir: ",
        "MEND edge.toml, mqtt[0].tls_ca_file: ",
        "MEND own certificate: ",
        f"run `staybolt-edge keys --state-dir {state}`",
    ):
        assert expected in shown


def test_check_tells_of_a_secret_that_others_can_read(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = config.parent / "state" / "uplink_token"
    token.parent.mkdir()
    token.write_text("s3cret")
    token.chmod(0o644)

    main(["check", "--config", str(config)])

    shown = capsys.readouterr().out
    assert f"{token} can be read by other users; run `chmod 600 {token}`" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("command", ["run", "check", "outbox"])
def test_bad_settings_end_with_2_and_a_message(
    config: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("queue_size = 1000", "queue_size = 0"))

    assert main([command, "--config", str(config)]) == 2

    assert capsys.readouterr().err.startswith("edge.toml, opcua[0].queue_size: 0 is not at least 1")


def test_run_refuses_to_start_without_its_token(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", str(config)]) == 2

    assert "put the secret there" in capsys.readouterr().err


def test_outbox_shows_what_waits_was_dropped_and_was_set_aside(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["outbox", "--config", str(config)]) == 0
    empty = capsys.readouterr().out
    with Outbox(config.parent / "state" / "outbox.sqlite", 10**6) as outbox:
        entry = Entry("raw", LINE, 1)
        outbox.append([entry], [Misfit("mqtt hall-2 plant/x", "not JSON", b"\xff{")])
        outbox.append([entry])
        outbox.set_aside((2,), "400 type conflict")

    assert main(["outbox", "--config", str(config)]) == 0

    shown = capsys.readouterr().out
    assert "nothing there yet" in empty
    assert "waiting: 1 samples in 1 records" in shown
    assert "oldest: record 1, begins 2023-11-14 22:13:20 UTC" in shown
    assert "set aside: 2 entries" in shown
    assert "payload, mqtt hall-2 plant/x: not JSON" in shown
    assert "refused, record 2: 400 type conflict" in shown


def test_every_command_and_option_explains_itself() -> None:
    helps = {
        name: parser.format_help()
        for name, parser in build_parser()._subparsers._group_actions[0].choices.items()  # type: ignore[union-attr]  # argparse has no other way
    }

    assert set(helps) == {
        "run", "status", "check", "browse", "trust", "keys", "sample-config", "outbox",
    }  # fmt: skip
    for name, text in helps.items():
        assert len(text.split()) > 12, name


def test_the_program_needs_nothing_heavy() -> None:
    code = (
        "import sys, edge_agent.__main__\n"
        "heavy = {'scipy', 'fastapi', 'duckdb', 'sqlalchemy', 'pyarrow', 'influxdb_client', "
        "'pandas', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
