"""What an agent is doing while it is killed."""

import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.reliability.mqtt_device import Device, Message

REFUSED_MACHINE: Final = "refused"
DAMAGE: Final = b"SQLite format 3\0" + b"\xa5" * 8192


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is prepared, published and asked of an agent in each run."""

    name: str
    n_messages: int = 12
    n_spoilt: int = 0
    """Messages that can't be read, among them."""
    n_refused: int = 0
    """Messages whose values the store refuses, among them."""
    store_delay_s: float = 0.0
    store_fails_every: int = 0
    """The first request and then one in so many is answered with 503; 0 for none."""
    is_store_away: bool = False
    """Whether the store is away until the restart."""
    is_full: bool = False
    """Whether the outbox is at its cap from the start."""
    is_damaged: bool = False
    """Whether the agent finds an outbox that is no database."""
    reloads: bool = False
    """Whether its settings change and it is told so while messages come."""
    attaches: Literal["at the start", "before the messages", "before the stop"] = (
        "before the messages"
    )
    """When the killer comes. Calls count in each thread, so the calls with which one thread begins
    would hide as many of the other."""

    def messages(self, device: Device, first_spoilt: int) -> list[Message]:
        """What the device publishes for one run."""
        n_good = self.n_messages - self.n_spoilt - self.n_refused
        kinds = ["good"] * n_good + ["spoilt"] * self.n_spoilt + ["refused"] * self.n_refused
        # One of each kind after the other, not in blocks.
        order = sorted(range(len(kinds)), key=lambda n: (n * 7) % len(kinds))
        messages = []
        for place in order:
            match kinds[place]:
                case "good":
                    messages.append(device.sense(f"pump-{place % 3}"))
                case "spoilt":
                    messages.append(device.spoil("pump-0", first_spoilt + place))
                case _:
                    messages.append(device.sense(REFUSED_MACHINE))
        return messages


SCENARIOS: Final = (
    Scenario("first start", attaches="at the start"),
    Scenario("broker sends again"),
    Scenario("sending while writing", n_messages=16, store_delay_s=0.01, store_fails_every=4),
    Scenario("quarantine", n_spoilt=3, n_refused=3),
    Scenario("reload", reloads=True),
    Scenario("outbox at its cap", is_full=True, is_store_away=True),
    Scenario("damaged outbox", n_messages=6, is_damaged=True, attaches="at the start"),
    Scenario("stopped by SIGTERM", n_messages=6, is_store_away=True, attaches="before the stop"),
)


@dataclass(frozen=True, slots=True)
class Left:
    """What an outbox holds, read with plain SQL."""

    n_records: int
    n_samples: int
    n_dropped: int
    aside: bytes
    """All bodies of the quarantine, unpacked, one after the other."""


def look(path: Path) -> Left | None:
    """Read the file of an agent that runs, and disturb nothing; None if it can't be read now."""
    try:
        return _look(path)
    except sqlite3.Error:
        return None


def _look(path: Path) -> Left:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (n_records, n_samples) = database.execute(
            "SELECT count(*), coalesce(sum(n_samples), 0) FROM record"
        ).fetchone()
        tally = dict(database.execute("SELECT name, n FROM tally").fetchall())
        bodies = [body for (body,) in database.execute("SELECT body FROM quarantine")]
    finally:
        database.close()
    aside = b"\n".join(map(_unpacked, bodies))
    return Left(n_records, n_samples, tally.get("dropped_samples", 0), aside)


def _unpacked(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return body
