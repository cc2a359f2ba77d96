"""Libraries to measure against. They are in the `bench` group only, so each may be missing."""

import importlib
from types import ModuleType


def peer(name: str) -> ModuleType:
    """Import a peer.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; `make bench` installs the locked versions.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        msg = f"{name} is not installed; run `make bench`, which installs what is measured against"
        raise ModuleNotFoundError(msg) from error
