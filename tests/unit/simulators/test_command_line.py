"""`staybolt-sim` refuses what it can't do with what, where and how to mend, and exit code 2."""

import socket
from pathlib import Path

import pytest

from simulators.__main__ import main
from simulators.keys import make_identity
from simulators.machines import KINDS
from simulators.options import build_parser


@pytest.fixture
def client(tmp_path: Path) -> Path:
    return make_identity(tmp_path / "client", "urn:staybolt:edge").certificate


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("staybolt-sim: ")
    assert "Traceback" not in message
    return message


def test_a_bad_seed_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, client: Path
) -> None:
    for command in (
        ("run", "--trust-client", client),
        ("generate", "run-to-failure"),
        ("generate", "business"),
    ):
        message = refused(capsys, *command, "--dir", tmp_path / "out", "--seed", "-3")
        assert "--seed: -3 is below zero; give a whole number" in message


def test_an_unknown_scenario_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, client: Path
) -> None:
    message = refused(
        capsys, "run", "--dir", tmp_path, "--scenario", "moon", "--trust-client", client
    )

    assert "--scenario: 'moon' is not known; choose one of" in message


def test_a_missing_data_folder_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, client: Path
) -> None:
    message = refused(
        capsys, "replay", "cmapss", "--data", tmp_path / "none", "--subset", "FD001",
        "--units", "1", "--dir", tmp_path / "out", "--trust-client", client,
    )  # fmt: skip

    assert "holds no C-MAPSS data" in message
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_client_certificate_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    message = refused(capsys, "run", "--dir", tmp_path, "--trust-client", tmp_path / "none.der")

    assert "staybolt-edge keys" in message


def test_a_port_in_use_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, client: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--opcua-port", "--mqtt-port"):
            message = refused(
                capsys,
                "run",
                "--dir",
                tmp_path / "out",
                "--trust-client",
                client,
                option,
                str(port),
            )
            assert f"{option}: 127.0.0.1:{port} can't be listened on" in message
            assert "choose another port" in message


def test_an_uplink_without_its_token_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, client: Path
) -> None:
    message = refused(
        capsys, "run", "--dir", tmp_path, "--trust-client", client,
        "--uplink-url", "http://127.0.0.1:8086",
    )  # fmt: skip

    assert "--uplink-token-file: missing beside --uplink-url" in message


def test_a_folder_that_is_a_file_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    message = refused(capsys, "generate", "run-to-failure", "--dir", tmp_path / "file")

    assert "can't be made a folder" in message


def test_a_date_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = refused(capsys, "generate", "business", "--dir", tmp_path, "--until", "next tuesday")

    assert "--until: 'next tuesday' is not a date; write it as" in message


def test_run_to_failure_names_the_files_it_wrote(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["generate", "run-to-failure", "--dir", str(tmp_path), "--units-per-kind", "2"]

    assert main(arguments) == 0

    written = capsys.readouterr().out.split()
    assert [Path(path).is_file() for path in written] == [True] * len(KINDS)


@pytest.mark.parametrize(
    "command", [[], ["run"], ["replay", "cmapss"], ["generate", "run-to-failure"]]
)
def test_help_teaches(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([*command, "--help"])

    assert stopped.value.code == 0
    assert "--help" in capsys.readouterr().out


def test_a_port_out_of_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([
            "run",
            "--dir",
            "x",
            "--trust-client",
            "y",
            "--mqtt-port",
            "70000",
        ])

    assert stopped.value.code == 2
    assert "70000 is not a port" in capsys.readouterr().err
