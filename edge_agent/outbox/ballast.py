"""A file of real bytes beside the outbox, given back to a disk that has become full.

SQLite needs room even to delete. Without something to give up, a disk that another program has
filled could never be drained: what is sent could not be forgotten, and nothing new be kept.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_NEEDED_FREE: Final = 2
"""It is taken again when the disk has this many times its size to spare."""


class Ballast:
    """Bytes held in reserve.

    Parameters
    ----------
    path : Path
        Its file.
    n_bytes : int
        Its size. [byte]
    """

    def __init__(self, path: Path, n_bytes: int) -> None:
        self._path = path
        self._n_bytes = n_bytes
        self.is_held = False

    def take(self) -> bool:
        """Take the bytes if the disk has plenty to spare; called again and again it costs little.

        Returns
        -------
        bool
            Whether they are held now.
        """
        if self.is_held:
            return True
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == self._n_bytes:
                self.is_held = True
                return True
            if self.disk_free_bytes() < (_NEEDED_FREE + 1) * self._n_bytes:
                return False
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                # Not truncated to size: those would be no real bytes, and nothing to give back.
                os.posix_fallocate(descriptor, 0, self._n_bytes)
            finally:
                os.close(descriptor)
            self.is_held = True
        return self.is_held

    def release(self) -> bool:
        """Give the bytes back to the disk.

        Returns
        -------
        bool
            Whether there were any.
        """
        self.is_held = False
        with contextlib.suppress(OSError):
            had_any = self._path.exists()
            self._path.unlink(missing_ok=True)
            return had_any
        return False

    def n_bytes(self) -> int:
        """Measure what it takes on the disk.

        Returns
        -------
        int
            0 while it is given up. [byte]
        """
        with contextlib.suppress(OSError):
            return self._path.stat().st_blocks * 512
        return 0

    def disk_free_bytes(self) -> int:
        """Ask what the disk has to spare.

        Returns
        -------
        int
            0 if it does not say. [byte]
        """
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._path.parent)
            return disk.f_bavail * disk.f_frsize
        return 0


def disk_size_bytes(folder: Path) -> int:
    """Ask how large a disk is.

    Parameters
    ----------
    folder : Path
        Something on it.

    Returns
    -------
    int
        All of it, free or not; very much if it does not say. [byte]
    """
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 2**62
    return disk.f_blocks * disk.f_frsize
