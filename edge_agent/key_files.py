"""Where the agent's own keys are, for those who need not load what reads them."""

from pathlib import Path

CERTIFICATE_NAME = "certificate.der"
PRIVATE_KEY_NAME = "private_key.pem"


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
