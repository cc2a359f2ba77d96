"""Settings: every key explained, every mistake told with its place and its remedy."""

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from api.problem import SettingsError
from api.settings import Settings, load_settings

SAMPLE = Path("api/sample_config.toml")


def test_the_sample_is_what_the_defaults_are() -> None:
    sample = tomllib.loads(SAMPLE.read_text())

    assert Settings.model_validate(sample) == Settings()


def test_the_sample_explains_every_key() -> None:
    text = SAMPLE.read_text()

    for name, field in Settings.model_fields.items():
        assert f"{name} =" in text or f"[{name}]" in text
        if isinstance(field.default, BaseModel):
            for inner in type(field.default).model_fields:
                assert f"\n{inner} =" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot = 1", "prot: unknown key; remove it or mend its spelling"),
        ("[planning]\nhorizon = 3", "planning.horizon: unknown key"),
        ("port = -5", "port: -5 is refused"),
        ("update_interval_s = 0", "update_interval_s: 0 is refused"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_mistake_is_told_with_file_key_and_remedy(
    tmp_path: Path, text: str, expected: str
) -> None:
    config = tmp_path / "staybolt.toml"
    config.write_text(text)

    with pytest.raises(SettingsError) as caught:
        load_settings(config, {})

    assert str(config) in str(caught.value)
    assert expected in str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        load_settings(tmp_path / "nowhere.toml", {})


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "staybolt.toml").write_text("port = 1234\nupdate_interval_s = 2.5")

    settings = load_settings(None, {"state_dir": tmp_path, "port": 99, "host": None})

    assert (settings.port, settings.update_interval_s, settings.host) == (99, 2.5, "127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "plant.example.org"])  # noqa: S104
def test_an_open_address_needs_an_access_token(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--access-token-file"):
        load_settings(None, {"host": host, "state_dir": tmp_path})

    token = tmp_path / "token"
    chosen = {"host": host, "state_dir": tmp_path, "access_token_file": token}
    assert load_settings(None, chosen).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_token(host: str, tmp_path: Path) -> None:
    assert load_settings(None, {"host": host, "state_dir": tmp_path}).host == host
