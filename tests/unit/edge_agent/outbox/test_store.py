"""The outbox: what was appended is there, in order, once, whatever happened between."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import OutboxDamagedError, OutboxError
from edge_agent.outbox import Outbox
from edge_agent.outbox.file import SEQUENCES_PER_FILE
from edge_agent.records import Entry, Misfit, Priority

CAP = 1_000_000


def lines(number: int, size: int = 50) -> bytes:
    """Lines that don't compress to nothing."""
    return (
        b"".join(zlib.crc32(bytes([n % 256, number % 256])).to_bytes(4, "big") for n in range(size))
        + b"\n"
    )


def put(
    outbox: Outbox,
    body: bytes,
    n_samples: int = 1,
    priority: Priority = "raw",
    **options: Any,  # noqa: ANN401
) -> int:
    """Append one record."""
    (sequence,) = outbox.append([Entry(priority, body, n_samples)], **options)
    return sequence


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


def test_records_come_back_in_order_with_their_bytes(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        numbers = [put(outbox, lines(n), n) for n in range(1, 4)]

        records = outbox.read_oldest(10**6, 100)

    assert numbers == [1, 2, 3]
    assert [(r.sequence, r.n_samples, r.body) for r in records] == [
        (n, n, lines(n)) for n in range(1, 4)
    ]


def test_a_restart_keeps_everything_and_numbers_are_never_used_again(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        put(outbox, lines(1), 1)
        put(outbox, lines(2), 1)
    with Outbox(path, CAP) as outbox:
        kept = [record.sequence for record in outbox.read_oldest(10**6, 100)]
        outbox.forget(kept)
    with Outbox(path, CAP) as outbox:
        after_drain = put(outbox, lines(3), 1)

    assert kept == [1, 2]
    assert after_drain == 3


def test_at_least_one_record_is_read_and_then_as_many_as_fit(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        for number in range(5):
            put(outbox, lines(number), 1)
        size = len(lines(0))

        read = [
            len(outbox.read_oldest(max_bytes, max_records))
            for max_bytes, max_records in [(1, 100), (2 * size, 100), (10**6, 3), (10**6, 100)]
        ]

    assert read == [1, 2, 3, 5]


def test_the_file_belongs_to_its_user_alone(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        put(outbox, lines(1), 1)
        modes = {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir()}

    assert set(modes.values()) == {0}


def test_the_disk_is_told_to_keep_every_commit(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        pragmas = {
            name: outbox._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


SMALLEST = 1_000_000
"""The least that the settings allow."""


def noise(number: int, size: int = 3000) -> bytes:
    """Bytes that don't compress at all."""
    return random.Random(number).randbytes(size)  # noqa: S311


def test_above_the_cap_the_oldest_go_and_every_one_is_counted(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(400):
            put(outbox, noise(number), 3)
            assert outbox.counts().n_bytes <= SMALLEST
        counts = outbox.counts()
        left = [record.sequence for record in outbox.read_oldest(10**7, 1000)]
        (gap,) = outbox.gaps()

    assert left == list(range(401 - len(left), 401))
    assert counts.n_dropped_records == 400 - len(left) > 0
    assert counts.n_samples + counts.n_dropped_samples == 3 * 400
    assert (gap.reason, gap.n_samples) == ("no room", counts.n_dropped_samples)


def test_a_record_in_flight_is_not_dropped_for_room(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(400):
            put(outbox, noise(number), 1, protected=(1, 2))
        left = [record.sequence for record in outbox.read_oldest(10**7, 1000)]

    assert left[:2] == [1, 2]
    assert left[2] > 100


def damage(path: Path, sequence: int) -> None:
    """Flip bits of one record, as a worn flash does."""
    database = sqlite3.connect(path)
    (body,) = database.execute("SELECT body FROM body WHERE sequence = ?", (sequence,)).fetchone()
    wrong = bytes([body[0], body[1] ^ 0x40, *body[2:]])
    database.execute("UPDATE body SET body = ? WHERE sequence = ?", (wrong, sequence))
    database.commit()
    database.close()


def test_a_damaged_record_is_set_aside_and_its_neighbours_are_read(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        for number in range(1, 4):
            put(outbox, lines(number), 10)
    damage(path, 2)

    with Outbox(path, CAP, clock_ns=lambda: 77) as outbox:
        records = outbox.read_oldest(10**6, 100)
        again = outbox.read_oldest(10**6, 100)
        (entry,) = outbox.quarantine()

    assert [record.sequence for record in records] == [1, 3]
    assert [record.sequence for record in again] == [1, 3]
    assert (entry.kind, entry.origin, entry.n_samples, entry.at_ns) == (
        "damaged",
        "record 2",
        10,
        77,
    )
    assert "CRC" in entry.reason


def test_a_record_under_another_number_counts_as_damaged(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        put(outbox, lines(1), 1)
        outbox._database.execute("UPDATE record SET sequence = 9")

        assert outbox.read_oldest(10**6, 100) == []
        assert outbox.counts().n_quarantined == 1


def test_only_damaged_records_do_not_hide_those_behind_them(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        for number in range(1, 5):
            put(outbox, lines(number), 1)
    for sequence in (1, 2):
        damage(path, sequence)

    with Outbox(path, CAP) as outbox:
        assert [record.sequence for record in outbox.read_oldest(10**6, 2)] == [3, 4]


def test_a_file_that_is_no_database_is_set_aside_and_numbers_go_on_above(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this was a database once" * 100)

    with Outbox(path, CAP) as outbox:
        first = put(outbox, lines(1), 1)
    path.write_bytes(b"and again" * 100)
    with Outbox(path, CAP) as outbox:
        second = put(outbox, lines(1), 1)

    assert (first, second) == (SEQUENCES_PER_FILE + 1, 2 * SEQUENCES_PER_FILE + 1)
    assert path.with_name("outbox.sqlite.damaged-1").read_bytes().startswith(b"this was")


def test_a_file_that_breaks_while_in_use_is_set_aside_too(path: Path) -> None:
    outbox = Outbox(path, CAP)
    put(outbox, lines(1), 1)

    outbox.begin_anew(OutboxDamagedError("broken in use"))
    sequence = put(outbox, lines(2), 1)
    outbox.close()

    assert sequence == SEQUENCES_PER_FILE + 1
    assert path.with_name("outbox.sqlite.damaged-1").exists()


def test_a_file_of_another_version_is_left_alone(path: Path) -> None:
    Outbox(path, CAP).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.execute("UPDATE about SET text = '99' WHERE name = 'schema'")
    database.commit()
    database.close()

    with pytest.raises(OutboxError, match="written by another version of the agent"):
        Outbox(path, CAP)


def test_a_failed_write_changes_nothing_and_the_next_one_works(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        put(outbox, lines(1), 1)
        outbox._database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(OutboxError, match="make room on the disk"):
            put(outbox, os.urandom(100_000), 1, misfits=[Misfit("mqtt", "bad", b"x")])
        after_failure = outbox.counts()
        outbox._database.execute("PRAGMA max_page_count = 1000000")

        assert put(outbox, lines(3), 1) == 2
        assert (after_failure.n_samples, after_failure.n_quarantined) == (1, 0)


def test_misfits_and_samples_become_durable_together(path: Path) -> None:
    misfit = Misfit("mqtt hall-2 plant/x", "not JSON \ud800", b"\xff{")
    with Outbox(path, CAP) as outbox:
        assert outbox.append([], [misfit]) == []
        assert put(outbox, lines(1), 1, misfits=[misfit]) == 1
    with Outbox(path, CAP) as outbox:
        entries = outbox.quarantine()

    assert [(entry.kind, entry.body) for entry in entries] == [("payload", b"\xff{")] * 2


def test_the_quarantine_has_a_bound_of_its_own_and_counts_what_it_drops(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(300):
            outbox.append([], [Misfit("mqtt", "bad", bytes([number % 256]) * 1000)])
        counts = outbox.counts()

    assert counts.n_quarantined <= 100
    assert counts.n_quarantined + counts.n_dropped_quarantined == 300


def test_refused_records_are_shown_as_lines(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        put(outbox, lines(1), 5)
        outbox.set_aside((1,), "400 type conflict")
        (entry,) = outbox.quarantine()

        assert outbox.read_oldest(10**6, 10) == []
    assert (entry.kind, entry.reason, entry.body) == ("refused", "400 type conflict", lines(1))


def test_it_can_be_looked_into_while_in_use_and_not_changed(path: Path) -> None:
    with Outbox(path, CAP) as outbox:
        put(outbox, lines(1), 7)
        with Outbox(path, CAP, is_read_only=True) as looked:
            assert looked.counts().n_samples == 7
            assert [record.sequence for record in looked.peek_oldest(1)] == [1]
            with pytest.raises(OutboxError):
                put(looked, lines(2), 1)


WRITER = """
import sys
from pathlib import Path
from edge_agent.outbox import Outbox
from edge_agent.records import Entry
outbox = Outbox(Path(sys.argv[1]), 10**9)
while True:
    sequence = outbox.append([Entry("raw", b"x" * 2000 + b"\\n", 1)])[0]
    print(sequence, flush=True)
"""


def test_kill_in_the_middle_of_commits_loses_nothing_that_was_acknowledged(path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().split()]
        writer.stdout.close()
        writer.wait()

        with Outbox(path, 10**9) as outbox:
            kept = {record.sequence for record in outbox.read_oldest(10**9, 10**6)}
            assert outbox.counts().n_quarantined == 0
        assert set(acknowledged) <= kept


def test_a_clock_that_a_flipped_bit_made_no_number_is_read_from_the_record_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "outbox.sqlite"
    with Outbox(path, 10**8) as outbox:
        outbox.append([Entry("raw", b"m v=1 1\n", 1)])
        outbox.append([Entry("raw", b"m v=2 2\n", 1)])
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE record SET kept_s = x'', n_samples = 9e999 WHERE sequence = 2")

    with Outbox(path, 10**8) as outbox:
        (record,) = outbox.read_oldest(10**6, 10)

        assert record.sequence == 1
        assert [entry.kind for entry in outbox.quarantine()] == ["damaged"]
