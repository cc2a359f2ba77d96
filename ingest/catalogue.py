"""Which machines may send, where no registry says so: a CSV file, or everyone."""

import contextlib
import csv
import fcntl
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.durability import sync_folder
from ingest.errors import SettingsError
from ingest.telemetry import is_legal_name

logger = logging.getLogger(__name__)

COLUMN = "machine"


class OpenCatalogue:
    """Knows every machine."""

    def is_known(self, machine: str) -> bool:
        """Whether telemetry of this machine is expected.

        Parameters
        ----------
        machine : str
            Machine name.

        Returns
        -------
        bool
            True for every name; whether it is a legal one is judged elsewhere.
        """
        return bool(machine)


class FileCatalogue:
    """Knows the machines of a CSV file with the column ``machine``.

    The file is read again when an unknown machine sends and the file has changed since, so that a
    machine can be added without a restart. May be used from any thread.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SettingsError
        If the file can't be read, has no such column, or names a machine badly.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_at_ns = _changed_at_ns(path)
        self._machines = read_machines(path)

    def is_known(self, machine: str) -> bool:
        """Whether telemetry of this machine is expected.

        Parameters
        ----------
        machine : str
            Machine name.

        Returns
        -------
        bool
            True if the file names it.
        """
        if machine not in self._machines:
            self._read_again()
        return machine in self._machines

    def _read_again(self) -> None:
        with self._lock:
            changed_at_ns = _changed_at_ns(self._path)
            if changed_at_ns == self._read_at_ns:
                return
            self._read_at_ns = changed_at_ns
            try:
                self._machines = read_machines(self._path)
            except SettingsError as error:
                logger.warning("the machines known so far stay known: %s", error)


def read_machines(path: Path) -> frozenset[str]:
    """Read the machines of a CSV file.

    Parameters
    ----------
    path : Path
        The file; other columns are passed over.

    Returns
    -------
    frozenset of str
        Names of the machines.

    Raises
    ------
    SettingsError
        If the file can't be read, has no column ``machine``, or names a machine badly.
    """
    try:
        # Spreadsheets like to put a byte order mark in front.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"{path} can't be read: {reason}; give a CSV file in UTF-8 that this user may read"
        raise SettingsError(msg) from error
    if COLUMN not in columns:
        msg = f"{path}: no column {COLUMN}; its first line must name it, for example `{COLUMN}`"
        raise SettingsError(msg)
    machines = {(row[COLUMN] or "").strip(): line_number for line_number, row in rows}
    machines.pop("", None)
    for machine, line_number in machines.items():
        if not is_legal_name(machine):
            msg = (
                f"{path}, line {line_number}: {machine!r} is not a legal name; "
                "use letters, digits and _ . - , at most 64, beginning with a letter or digit"
            )
            raise SettingsError(msg)
    return frozenset(machines)


def append_machines(path: Path, machines: Sequence[str]) -> list[str]:
    """Add machines to a CSV file: either all are in it afterwards, or it is as it was.

    Parameters
    ----------
    path : Path
        The file; what stands in it stays as it is.
    machines : sequence of str
        Names of machines.

    Returns
    -------
    list of str
        Those that were not in it before.

    Raises
    ------
    SettingsError
        If the file can't be read or written, or a name is not legal.
    """
    for machine in machines:
        if not is_legal_name(machine):
            msg = f"{machine!r} is not a legal name for a machine; nothing was added to {path}"
            raise SettingsError(msg)
    try:
        with _alone_in(path.parent):
            return _append(path, machines)
    except OSError as error:
        msg = f"{path} can't be written: {error.strerror}; check its rights and those of its folder"
        raise SettingsError(msg) from error


def _append(path: Path, machines: Sequence[str]) -> list[str]:
    known = read_machines(path)
    new = [machine for machine in dict.fromkeys(machines) if machine not in known]
    if not new:
        return []
    beside = path.with_name(f".{path.name}.new")
    before = path.read_bytes()
    with path.open(encoding="utf-8-sig", newline="") as file:
        columns = next(csv.reader(file))
    # Names have no character that CSV would have to quote.
    rows = "".join(
        ",".join(machine if column == COLUMN else "" for column in columns) + "\n"
        for machine in new
    )
    try:
        beside.write_bytes(before + (b"" if before.endswith(b"\n") else b"\n") + rows.encode())
        shutil.copymode(path, beside)
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return new


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process adds machines to a file here."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _changed_at_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
