"""Single flipped bits in an outbox's files: what is forwarded then, and whether it ever ends."""

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Final

from edge_agent.errors import OutboxDamagedError, OutboxError
from edge_agent.outbox import Outbox
from edge_agent.records import Entry, Misfit, Priority
from tests.reliability.full_disk import quiet
from tests.reliability.power_cut_writer import digest_of_batch, random_batch

CAP_BYTES: Final = 2_000_000
N_RECORDS: Final = 60
N_STARTS: Final = 3
"""An agent that still fails at its third start would fail at all of them."""


def make(path: Path, seed: int) -> set[str]:
    """An outbox with a little of everything; digests of all samples that may ever be forwarded."""
    chance = random.Random(seed)  # noqa: S311 - a test's own
    digests = set()
    with Outbox(path, CAP_BYTES) as outbox:
        for number in range(1, N_RECORDS + 1):
            batch, lines = random_batch(chance, number)
            priority: Priority = "alarm" if number % 9 == 0 else "raw"
            is_lines = number % 5 == 0
            entry = (
                Entry(priority, lines, len(batch))
                if is_lines
                else Entry(priority, b"", len(batch), (batch,))
            )
            outbox.append([entry], [Misfit("mqtt", "bad", b"x")] * (number % 20 == 0))
            digests.add(digest_of_batch(lines))
        outbox.set_aside([2], "400")
    return digests


def flip(path: Path, bit: int) -> None:
    """Turn one bit over."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def try_flips(folder: Path, n_flips: int, seed: int = 0) -> Counter[str]:
    """Flip one bit at a time of a copy, run the disk's part of an agent on it, and count."""
    whole = folder / "whole"
    digests = make(whole / "outbox.sqlite", seed)
    chance = random.Random(seed)  # noqa: S311 - a test's own
    outcomes: Counter[str] = Counter()
    n_bits = 8 * (whole / "outbox.sqlite").stat().st_size
    for number in range(n_flips):
        place = folder / f"flip-{number}"
        shutil.copytree(whole, place)
        flip(place / "outbox.sqlite", chance.randrange(n_bits))
        with quiet():
            outcomes.update(_run(place / "outbox.sqlite", digests))
        shutil.rmtree(place)
    return outcomes


def _run(path: Path, digests: set[str]) -> list[str]:
    """Drain the outbox as an agent does, and use it on; the words for what happened."""
    words = []
    for _ in range(N_STARTS):
        try:
            with Outbox(path, CAP_BYTES) as outbox:
                words += _drain(outbox, digests)
        except OutboxError as error:
            words.append(f"failed start: {error}")
            continue
        break
    else:
        words.append("crash loop")
    return words


def _drain(outbox: Outbox, digests: set[str]) -> list[str]:
    words = []
    for _ in range(N_RECORDS // 4):
        try:
            records = outbox.read_oldest(10**5, 7)
            words += ["wrong" for each in records if digest_of_batch(each.body) not in digests]
            outbox.forget([each.sequence for each in records])
            outbox.append([Entry("raw", b"m v=1 1\n", 1)])
            digests.add(digest_of_batch(b"m v=1 1\n"))
            outbox.counts()
            outbox.quarantine()
            outbox.gaps()
        except OutboxDamagedError as error:
            # As `edge_agent.disk` does.
            outbox.begin_anew(error)
            words.append("file set aside")
        if words.count("file set aside") > 1:
            return [*words, "crash loop"]
    words.append("damaged record" if _n_damaged(outbox) else "nothing noticed")
    return words


def _n_damaged(outbox: Outbox) -> int:
    return sum(entry.kind == "damaged" for entry in outbox.quarantine())
