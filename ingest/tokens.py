"""Who is sending: the credentials that devices show, kept as hashes.

A token file holds one token on each line, or ``NAME TOKEN``; the name says in counters and in the
quarantine who sent something. It is never taken from what was sent.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from ingest.errors import SettingsError
from ingest.telemetry import is_legal_name

TokenCheck = Callable[[str], str | None]
"""Gives the name of the credential that a token belongs to, None if it belongs to none."""

UNNAMED: Final = "device"
"""Name of a token that stands alone on its line."""

# A 128-bit secret in hexadecimal has 32 digits; below half of that it can be guessed.
_LEAST_TOKEN_LENGTH: Final = 16


class TokenTable:
    """The credentials of a token file; call it with a token to learn whose it is.

    Parameters
    ----------
    name_of_token : mapping of str to str
        Name of the credential of each token.
    """

    def __init__(self, name_of_token: Mapping[str, str]) -> None:
        # Looking up a digest tells a clock nothing about how much of a guess was right.
        self._name_of_digest = {_digest(token): name for token, name in name_of_token.items()}

    def __call__(self, token: str) -> str | None:
        """Say whose token this is.

        Parameters
        ----------
        token : str
            As it was shown.

        Returns
        -------
        str or None
            Name of the credential, None if there is none with this token.
        """
        return self._name_of_digest.get(_digest(token))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a token file.

        Parameters
        ----------
        path : Path
            One token on each line, or ``NAME TOKEN``; blank lines and ``#`` comments are passed
            over.

        Returns
        -------
        TokenTable
            Its credentials.

        Raises
        ------
        SettingsError
            If the file can't be read, holds no token, or one that is too short or named badly.
            No token is ever part of the message.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            msg = f"{path} can't be read: {reason}; put the token there, readable by this user"
            raise SettingsError(msg) from error
        name_of_token: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            name, token = words if len(words) == 2 else (UNNAMED, words[0])
            fault = _fault(words, name, token)
            if fault is None and token in name_of_token:
                fault = "this token stands above already; give each device its own"
            if fault is not None:
                msg = f"{path}, line {number}: {fault}"
                raise SettingsError(msg)
            name_of_token[token] = name
        if not name_of_token:
            msg = f"{path} holds no token; write one, for example from `openssl rand -hex 32`"
            raise SettingsError(msg)
        return cls(name_of_token)


def _fault(words: list[str], name: str, token: str) -> str | None:
    if len(words) > 2:
        return f"{len(words)} words; write a token, or a name and a token"
    if len(token) < _LEAST_TOKEN_LENGTH:
        return (
            f"the token has {len(token)} characters, {_LEAST_TOKEN_LENGTH} are needed; "
            "make one with `openssl rand -hex 32`"
        )
    if not is_legal_name(name):
        return f"{name!r} is not a legal name; use letters, digits and _ . -"
    return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
