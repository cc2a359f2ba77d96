"""Opening the database: what is refused, and how the SQLite file is kept."""

import stat
from pathlib import Path

import pytest

from api.registry.database import database_url, migrate, open_engine
from api.registry.errors import RegistryUnavailableError, RegistryUrlError


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("registry.db", "cannot be read; write sqlite:////folder"),
        ("mysql://user@host/registry", "mysql is not supported"),
        ("sqlite://", "needs a SQLite file"),
        ("sqlite:///:memory:", "needs a SQLite file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(RegistryUrlError, match=message):
        open_engine(url)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")

    with pytest.raises(RegistryUrlError, match="choose a folder this program may write to"):
        open_engine(database_url(tmp_path / "state"))


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    engine = open_engine("postgresql://planner:secret@127.0.0.1:1/registry")

    with pytest.raises(RegistryUnavailableError, match="check that the database runs") as caught:
        migrate(engine)

    assert "127.0.0.1:1/registry" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_given_url_wins_over_the_state_folder(tmp_path: Path) -> None:
    assert database_url(tmp_path, "postgresql://host/db") == "postgresql://host/db"
    assert database_url(tmp_path).endswith("registry.sqlite")


def test_the_sqlite_file_is_durable_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "100% #1?"
    engine = open_engine(database_url(folder))

    migrate(engine)

    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }
    assert stat.S_IMODE((folder / "registry.sqlite").stat().st_mode) == 0o600
