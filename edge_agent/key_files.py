"""Where keys and certificates are, for those who need not load what reads them."""

import datetime
from pathlib import Path
from typing import Final

CERTIFICATE_NAME: Final = "certificate.der"
PRIVATE_KEY_NAME: Final = "private_key.pem"

CERTIFICATE_ENDINGS: Final = frozenset({".der", ".pem", ".crt", ".cer"})
"""Endings of files in trust folders that are certificates."""

WARN_BEFORE_END: Final = datetime.timedelta(days=60)
"""So long before a certificate ends somebody is told."""


def keys_folder(state_dir: Path) -> Path:
    """Folder of the agent's own keys.

    Parameters
    ----------
    state_dir : Path
        State folder of the agent.

    Returns
    -------
    Path
        ``pki/own`` below it.
    """
    return state_dir / "pki" / "own"


def has_keys(state_dir: Path) -> bool:
    """Whether the agent has a certificate or key already, whole or not.

    Parameters
    ----------
    state_dir : Path
        State folder of the agent.

    Returns
    -------
    bool
        True if one of the files is there.
    """
    folder = keys_folder(state_dir)
    return (folder / CERTIFICATE_NAME).exists() or (folder / PRIVATE_KEY_NAME).exists()
