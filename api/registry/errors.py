"""What can go wrong with the registry.

::

    RegistryError
    ├── RegistryUrlError          the database URL can't be used (also a ValueError)
    ├── RegistryUnavailableError  the database can't be reached
    ├── RegistryVersionError      its tables were made by a newer program
    ├── ImportRefusedError        an import was refused as a whole; nothing was written
    └── UndoRefusedError          an import can't be taken back; nothing was changed
"""

from collections.abc import Sequence


class RegistryError(Exception):
    """Base of every error raised by `api.registry`."""


class RegistryUrlError(RegistryError, ValueError):
    """The database URL can't be used."""


class RegistryUnavailableError(RegistryError):
    """The database can't be reached; the same call may succeed later."""


class RegistryVersionError(RegistryError):
    """The tables were made by a newer program than this one."""


class ImportRefusedError(RegistryError):
    """An import was refused as a whole, and nothing of it was written.

    Parameters
    ----------
    problems : sequence of str
        Everything that was found, each with its file and its remedy.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UndoRefusedError(RegistryError):
    """An import can't be taken back; nothing was changed."""
