"""Starting the server: what can't work is refused with a remedy, before anything is opened."""

import errno
import os
import socket
import stat
import threading
from pathlib import Path

import httpx
import pytest
import uvicorn

from api.__main__ import build_parser, main
from api.app import create_app
from api.context import AppContext
from api.problem import SettingsError
from api.serving import (
    listen,
    make_ingest_token,
    open_context,
    read_access_token,
    where_to_look,
)
from api.settings import Settings, is_loopback
from ingest.errors import StoreUnavailableError
from ingest.tokens import TokenTable


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "0.0.0.0"], "--access-token-file"),  # noqa: S104
        (["--config", "nowhere.toml"], "there is no such file"),
        (["--access-token-file", "/dev/null"], "16 without spaces are needed"),
        (["--access-token-file", "/nowhere/at/all"], "can't be read"),
        (["--port", "70000"], "port: 70000 is refused"),
        (["--database", "mysql://x/y"], "mysql is not supported"),
    ],
)
def test_settings_that_can_not_be_used_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    code = main(["serve", "--state-dir", str(tmp_path / "state"), "--port", "0", *arguments])

    assert code in {1, 2}
    assert expected in capsys.readouterr().err


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"try 127\.0\.0\.1|choose another"):
        listen("203.0.113.7", 0)


def test_the_first_start_makes_a_folder_and_a_token_for_the_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    settings = Settings(state_dir=state)

    with open_context(settings) as context:
        assert context.ingest.device_of("wrong") is None
    token = (state / "ingest_token").read_text()
    with open_context(settings):
        pass

    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "ingest_token").stat().st_mode) == 0o600
    assert (state / "ingest_token").read_text() == token
    assert TokenTable.read(state / "ingest_token")(token.strip()) is not None


def test_a_token_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ingest_token"
    path.write_text("hall-a 0123456789abcdef0123")

    make_ingest_token(path)

    assert path.read_text() == "hall-a 0123456789abcdef0123"


def test_a_state_that_is_in_use_is_not_opened_twice(tmp_path: Path) -> None:
    blocked = tmp_path / "telemetry.duckdb"
    blocked.mkdir()

    with (
        pytest.raises(StoreUnavailableError, match="can't be opened"),
        open_context(Settings(state_dir=tmp_path)),
    ):
        pass


def test_an_access_token_may_end_in_a_line_break(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("correct-horse-battery-staple\n")

    assert read_access_token(path) == "correct-horse-battery-staple"
    assert read_access_token(None) is None


def test_the_terminal_says_where_to_look(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listener:
        text = where_to_look(Settings(state_dir=tmp_path), listener, None)

        assert f"http://127.0.0.1:{listener.getsockname()[1]}/" in text
    assert str(tmp_path / "ingest_token") in text


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "import", "set-aside", "fit-health-model", "demo", "sample-config"):
        with pytest.raises(SystemExit) as stopped:
            build_parser().parse_args([command, "--help"])
        assert stopped.value.code == 0
        assert len(capsys.readouterr().out) > 100


def test_the_sample_config_is_printed_as_it_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample-config"]) == 0

    assert capsys.readouterr().out == Path("api/sample_config.toml").read_text()


def test_an_answer_comes_over_a_real_socket(context: AppContext) -> None:
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(context), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/machines", timeout=10.0)
        server.should_exit = True
        thread.join(10.0)

    assert answer.json() == {"items": [], "n_total": 0, "next_cursor": None}
    assert not thread.is_alive()


def test_localhost_is_loopback_and_a_name_is_not() -> None:
    assert is_loopback("localhost")
    assert not is_loopback(socket.gethostname() + ".example.org")


def test_a_token_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "ingest_token"
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match="No space left"):
        make_ingest_token(path)

    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    make_ingest_token(path)
    assert TokenTable.read(path)(path.read_text().strip()) is not None
