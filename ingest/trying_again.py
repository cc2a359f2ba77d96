"""Tries lines of the quarantine again that somebody has asked for."""

import logging
from collections.abc import Callable
from typing import Final

from ingest.announced import Confirmed
from ingest.ports import MachineCatalogue
from ingest.quarantine import Quarantine
from ingest.service import IngestService

logger = logging.getLogger(__name__)

LINES_AT_ONCE: Final = 200


def chores_of(
    service: IngestService, quarantine: Quarantine, catalogue: MachineCatalogue
) -> list[Callable[[], int]]:
    """Name what the keeper does for the quarantine: find lines to try again, and try them.

    Parameters
    ----------
    service : IngestService
        Judges and stores lines.
    quarantine : Quarantine
        Where they are.
    catalogue : MachineCatalogue
        Which machines may send.

    Returns
    -------
    list of callable
        In this order; each says how much it did.
    """
    return [Confirmed(quarantine, catalogue).step, TryingAgain(service, quarantine).step]


class TryingAgain:
    """What the keeper of the store does between its rounds.

    Parameters
    ----------
    service : IngestService
        Judges and stores lines.
    quarantine : Quarantine
        Where they are.
    """

    def __init__(self, service: IngestService, quarantine: Quarantine) -> None:
        self._service = service
        self._quarantine = quarantine

    def step(self) -> int:
        """Try some lines; those that are stored leave the quarantine.

        A line that was stored just before a crash is tried once more, which stores it once.

        Returns
        -------
        int
            How many were tried; 0 when nobody wants anything.

        Raises
        ------
        StoreUnavailableError
            If the store did not answer; they are tried again later.
        QuarantineError
            If the quarantine can't be read or written.
        """
        lines = self._quarantine.wanted(LINES_AT_ONCE)
        n_stored = 0
        for line in lines:
            rejected = self._service.try_again(line)
            if rejected is None:
                n_stored += self._quarantine.let_go([line.id])
            else:
                self._quarantine.refuse_again(line.id, rejected)
        if lines:
            logger.info(
                "%d lines of the quarantine were tried again: %d are stored now",
                len(lines),
                n_stored,
            )
        return len(lines)
