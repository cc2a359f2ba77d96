"""Making sure that a file is found again after a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Put the names of a folder's files on the disk, as `os.fsync` puts their contents there.

    Parameters
    ----------
    folder : Path
        Where files were made, renamed or removed.

    Raises
    ------
    OSError
        If the disk does not answer.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
