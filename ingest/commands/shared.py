"""Options, exit codes and words that several commands of ``staybolt-ingest`` share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ingest.errors import SettingsError, StoreUnavailableError
from ingest.opening import open_store
from ingest.ports import TelemetryStore
from ingest.settings import IngestSettings

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    """Where a command adds its parser; argparse has no public name for it."""

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_SETTINGS: Final = 2


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser to add to.
    """
    parser.add_argument(
        "--config", type=Path, required=True, help="settings file, see `sample-config`"
    )


def open_named_store(settings: IngestSettings, config_name: str) -> TelemetryStore:
    """Open the store of a settings file.

    Parameters
    ----------
    settings : IngestSettings
        The settings.
    config_name : str
        Name of the file, for messages.

    Returns
    -------
    TelemetryStore
        Ready to be used; the caller closes it.

    Raises
    ------
    SettingsError
        If it does not answer.
    """
    try:
        return open_store(settings.store)
    except StoreUnavailableError as error:
        msg = f"{config_name}, store: {error}"
        raise SettingsError(msg) from error
