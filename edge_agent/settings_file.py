"""Reads the settings file, and the secrets that it names."""

import tomllib
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from edge_agent.errors import SettingsError
from edge_agent.settings import Settings
from edge_agent.settings_errors import explain

SAMPLE_CONFIG: Final = Path(__file__).with_name("sample_config.toml")
"""Every option in a full sentence, loaded by the tests."""

MAX_FILE_BYTES: Final = 10_000_000
"""Some forty thousand nodes; much more would not fit a field device's memory while it is read."""


def load_settings(path: Path) -> Settings:
    """Read the settings of the agent.

    Parameters
    ----------
    path : Path
        A TOML file. Relative paths in it are meant from its own folder.

    Returns
    -------
    Settings
        The settings, with absolute paths.

    Raises
    ------
    SettingsError
        If the file can't be read or anything in it is wrong: one line for each mistake.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            msg = (
                f"{path.name} is too large: it has more than "
                f"{MAX_FILE_BYTES // 1_000_000} MB; split the machines between several agents"
            )
            raise SettingsError(msg)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = (
            f"{path} is not there; write one with `staybolt-edge sample-config > {path}` "
            "and adapt it"
        )
        raise SettingsError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read: {error}; give a text file that this user may read"
        raise SettingsError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path.name} is not TOML: {error}; mend that line, strings stand in quotes"
        raise SettingsError(msg) from error
    except RecursionError as error:
        msg = f"{path.name} is not TOML: its brackets nest too deep; mend the line that opens them"
        raise SettingsError(msg) from error
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise SettingsError(explain(error, Settings, path.name)) from error
    return _with_absolute_paths(settings, path.resolve().parent)


def read_secret(path: Path) -> str:
    """Read a token or password.

    Parameters
    ----------
    path : Path
        A file with nothing else in it.

    Returns
    -------
    str
        Its text, without white space around it.

    Raises
    ------
    SettingsError
        If it can't be read or is empty. The secret itself is never part of the message.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"{path} can't be read: {reason}; put the secret there, readable by this user"
        raise SettingsError(msg) from error
    if not secret or len(secret.splitlines()) > 1:
        msg = f"{path} does not hold one secret; write the token or password on its only line"
        raise SettingsError(msg)
    return secret


def _with_absolute_paths(settings: Settings, folder: Path) -> Settings:
    def below(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    opcua = (
        source.model_copy(
            update={
                "trusted_servers_dir": folder / source.trusted_servers_dir,
                "password_file": below(source.password_file),
                "user_certificate_file": below(source.user_certificate_file),
                "user_key_file": below(source.user_key_file),
            }
        )
        for source in settings.opcua
    )
    mqtt = (
        source.model_copy(update={name: below(path) for name, path in source.files.items()})
        for source in settings.mqtt
    )
    uplink = settings.uplink.model_copy(
        update={name: below(path) for name, path in settings.uplink.files.items()}
    )
    return settings.model_copy(
        update={
            "state_dir": folder / settings.state_dir,
            "uplink": uplink,
            "opcua": tuple(opcua),
            "mqtt": tuple(mqtt),
        }
    )
