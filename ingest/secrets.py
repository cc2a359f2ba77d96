"""Tokens and passwords, read from files of their own."""

from pathlib import Path

from ingest.errors import SettingsError


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
