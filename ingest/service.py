"""What happens to a body of line protocol: read, judged, kept, and answered for.

The order matters. Good samples go to the store first; only when the store has answered are bad
lines set aside, so that a body sent again after an outage leaves one trace of each bad line, and
nothing is acknowledged that is not durable in one place or the other.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from ingest.announced import AnnouncedMachines, Announcement
from ingest.errors import StoreRejectedError
from ingest.ports import MachineCatalogue, TelemetryStore
from ingest.quarantine import Quarantine, QuarantinedLine
from ingest.telemetry import DecodedLines, RejectedLine, TelemetryBatch, decode_lines
from ingest.telemetry.line_protocol import Precision
from ingest.tokens import TokenCheck
from ingest.validation import ValidatedLines, ValidationLimits, validate_lines

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of a body; by then all of it is durable.

    Parameters
    ----------
    n_stored : int
        Samples that the store has.
    set_aside : tuple of RejectedLine
        Lines that the quarantine has, in the order they came.
    """

    n_stored: int
    set_aside: tuple[RejectedLine, ...]


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """What one credential has sent since the start.

    Parameters
    ----------
    n_accepted : int
        Samples stored.
    n_set_aside : int
        Lines set aside.
    """

    n_accepted: int = 0
    n_set_aside: int = 0


class IngestService:
    """Takes bodies of line protocol. Its methods may be called from any thread.

    Parameters
    ----------
    store : TelemetryStore
        Where good samples go.
    quarantine : Quarantine
        Where bad lines go.
    catalogue : MachineCatalogue
        Which machines may send.
    clock_ns : callable
        The present. [ns since 1970-01-01 UTC]
    token_check : callable
        Gives the name of the credential that a token belongs to, None if it belongs to none.
    on_stored : callable, optional
        Told each batch once the store has it; it must be quick and not raise.
    limits : ValidationLimits
        How far from now a sample's own time may lie.
    announced : AnnouncedMachines, optional
        Where machines and signals are put that nobody has confirmed.
    """

    def __init__(
        self,
        store: TelemetryStore,
        quarantine: Quarantine,
        catalogue: MachineCatalogue,
        clock_ns: Callable[[], int],
        token_check: TokenCheck,
        on_stored: Callable[[TelemetryBatch], None] | None = None,
        *,
        limits: ValidationLimits | None = None,
        announced: AnnouncedMachines | None = None,
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._catalogue = catalogue
        self._clock_ns = clock_ns
        self._token_check = token_check
        self._on_stored = on_stored
        self._limits = limits or ValidationLimits()
        self._announced = announced
        self._lock = threading.Lock()
        self._counts: dict[str, DeviceCounts] = {}

    def device_of(self, token: str) -> str | None:
        """Say which credential a token belongs to.

        Parameters
        ----------
        token : str
            As it was shown.

        Returns
        -------
        str or None
            Name of the credential, None if it belongs to none.
        """
        return self._token_check(token)

    def ingest(
        self, body: bytes, *, precision: Precision, device: str, site: str | None = None
    ) -> IngestOutcome:
        """Store what is good in a body and set the rest aside; on return all of it is durable.

        Parameters
        ----------
        body : bytes
            Line protocol.
        precision : Precision
            Unit of its timestamps.
        device : str
            Name of the credential it came with.
        site : str, optional
            Site that the sender belongs to, where that is known: lines of others are set aside.

        Returns
        -------
        IngestOutcome
            How much was stored, and which lines were not.

        Raises
        ------
        StoreUnavailableError
            If the store did not answer; the same body may be sent again.
        QuarantineError
            If bad lines could not be kept; the same body may be sent again.
        """
        now_ns = self._clock_ns()
        outcome, validated = self._store_good(body, precision, device, site, received_at_ns=now_ns)
        self._quarantine.set_aside(
            outcome.set_aside, device=device, received_at_ns=now_ns, precision=precision, site=site
        )
        if self._announced is not None:
            self._announced.note(
                [Announcement(series, n) for series, n in validated.unknown], at_ns=now_ns
            )
            if outcome.n_stored:
                self._announced.note_once(validated.accepted.series, at_ns=now_ns)
        self._count(device, outcome.n_stored, len(outcome.set_aside))
        return outcome

    def set_aside(
        self, lines: Sequence[RejectedLine], *, device: str, site: str | None = None
    ) -> None:
        """Keep what could not be read as samples at all; on return it is durable.

        Parameters
        ----------
        lines : sequence of RejectedLine
            What came, each with reason and remedy.
        device : str
            Who sent it.
        site : str, optional
            Site that the sender belongs to, where that is known.

        Raises
        ------
        QuarantineError
            If it could not be kept.
        """
        self._quarantine.set_aside(lines, device=device, received_at_ns=self._clock_ns(), site=site)
        self._count(device, 0, len(lines))

    def announce(self, announcements: Sequence[Announcement]) -> None:
        """Note what machines tell of themselves before anybody has confirmed them.

        Parameters
        ----------
        announcements : sequence of Announcement
            Signals, with units and ranges.
        """
        if self._announced is not None:
            self._announced.note(announcements, at_ns=self._clock_ns())

    def try_again(self, line: QuarantinedLine) -> RejectedLine | None:
        """Try a line that was set aside, or what was mended of it, as its sender would.

        Parameters
        ----------
        line : QuarantinedLine
            The line; a time that it does not carry is when it was received.

        Returns
        -------
        RejectedLine or None
            What is still wrong with it, None if the store has it now.

        Raises
        ------
        StoreUnavailableError
            If the store did not answer; the same line may be tried again.
        """
        text = line.line if line.mended is None else line.mended
        outcome, _ = self._store_good(
            text.encode(),
            cast("Precision", line.precision),
            line.device,
            line.site,
            received_at_ns=line.received_at_ns,
        )
        if not outcome.n_stored and not outcome.set_aside:
            return RejectedLine(1, text, "there is no sample in it", "mend it, or drop it")
        self._count(line.device, outcome.n_stored, 0)
        return outcome.set_aside[0] if outcome.set_aside else None

    def _store_good(
        self,
        body: bytes,
        precision: Precision,
        device: str,
        site: str | None,
        *,
        received_at_ns: int,
    ) -> tuple[IngestOutcome, ValidatedLines]:
        decoded = decode_lines(body, precision=precision, received_at_ns=received_at_ns)
        validated = validate_lines(
            decoded, self._catalogue, self._limits, now_ns=self._clock_ns(), site=site
        )
        set_aside, n_stored = validated.set_aside, 0
        if len(validated.accepted):
            try:
                self._store.write(validated.accepted)
            except StoreRejectedError as error:
                logger.warning(
                    "the store refused %d samples from %s for good; the quarantine has them, "
                    "with its reason",
                    len(validated.accepted),
                    device,
                )
                set_aside = _all_lines(decoded, validated, str(error))
            else:
                n_stored = len(validated.accepted)
                if self._on_stored is not None:
                    self._on_stored(validated.accepted)
        return IngestOutcome(n_stored, set_aside), validated

    def counts(self) -> dict[str, DeviceCounts]:
        """Say what each credential has sent since the start.

        Returns
        -------
        dict of str to DeviceCounts
            By name of the credential.
        """
        with self._lock:
            return dict(self._counts)

    def _count(self, device: str, n_accepted: int, n_set_aside: int) -> None:
        with self._lock:
            counts = self._counts.get(device, DeviceCounts())
            self._counts[device] = replace(
                counts,
                n_accepted=counts.n_accepted + n_accepted,
                n_set_aside=counts.n_set_aside + n_set_aside,
            )


def _all_lines(
    decoded: DecodedLines, validated: ValidatedLines, reason: str
) -> tuple[RejectedLine, ...]:
    """Set aside the lines that the store refused too, in the order they came."""
    numbers = list(dict.fromkeys(validated.line_number.tolist()))
    refused = [
        RejectedLine(
            number, line, reason, "mend what the store complains of, then send the line again"
        )
        for number, line in zip(numbers, decoded.lines(numbers), strict=True)
    ]
    return tuple(
        sorted([*refused, *validated.set_aside], key=lambda rejected: rejected.line_number)
    )
