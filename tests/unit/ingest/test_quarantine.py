"""Lines set aside are durable, listed with their reasons, and dropped only by count."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import QuarantineError
from ingest.quarantine import Quarantine, QuarantineCount, QuarantinedLine
from ingest.telemetry import RejectedLine


def line(text: str) -> RejectedLine:
    return RejectedLine(1, text, "why", "how")


def size_of(text: str) -> int:
    return len(f"dev{text}whyhow".encode())


def test_a_line_is_kept_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "new" / "q.sqlite") as quarantine:
        quarantine.set_aside([line("a"), line("b\x00é")], device="dev", received_at_ns=7)

    with Quarantine(tmp_path / "new" / "q.sqlite", must_exist=True) as quarantine:
        newest, oldest = quarantine.lines()
        assert newest == QuarantinedLine(2, 7, "dev", "b\x00é", "why", "how")
        assert quarantine.show(1) == oldest
        assert quarantine.show(3) is None
        assert quarantine.count() == QuarantineCount(2, size_of("a") + size_of("b\x00é"), 0, 0)


def test_a_list_goes_on_from_where_it_stopped(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.sqlite") as quarantine:
        quarantine.set_aside([line(str(n)) for n in range(5)], device="dev", received_at_ns=7)

        assert [each.line for each in quarantine.lines(limit=2)] == ["4", "3"]
        assert [each.line for each in quarantine.lines(limit=2, before_id=4)] == ["2", "1"]


def test_nothing_to_set_aside_writes_nothing(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.sqlite") as quarantine:
        quarantine.set_aside([], device="dev", received_at_ns=7)

        assert quarantine.count() == QuarantineCount(0, 0, 0, 0)


@given(
    writes=st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=5)),
    max_rows=st.integers(1, 6),
    max_bytes=st.integers(1, 120),
)
def test_the_newest_lines_within_the_cap_are_kept_and_the_others_counted_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[list[str]],
    max_rows: int,
    max_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("cap") / "q.sqlite"
    kept: list[str] = []
    n_dropped = n_dropped_bytes = 0

    with Quarantine(path, max_rows=max_rows, max_bytes=max_bytes) as quarantine:
        for texts in writes:
            quarantine.set_aside([line(text) for text in texts], device="dev", received_at_ns=7)
            kept += texts
            while len(kept) > max_rows or sum(map(size_of, kept)) > max_bytes:
                n_dropped_bytes += size_of(kept.pop(0))
                n_dropped += 1

        assert [each.line for each in quarantine.lines()] == kept[::-1]
        assert quarantine.count() == QuarantineCount(
            len(kept), sum(map(size_of, kept)), n_dropped, n_dropped_bytes
        )


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.sqlite", max_rows=1) as quarantine:
        for text in "abc":
            quarantine.set_aside([line(text)], device="dev", received_at_ns=7)

        assert [each.id for each in quarantine.lines()] == [3]


def test_what_was_set_aside_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    program = f"""
import os, signal
from pathlib import Path
from ingest.quarantine import Quarantine
from ingest.telemetry import RejectedLine
quarantine = Quarantine(Path({str(path)!r}))
quarantine.set_aside([RejectedLine(1, "a", "why", "how")], device="dev", received_at_ns=7)
os.kill(os.getpid(), signal.SIGKILL)
"""

    subprocess.run([sys.executable, "-c", program], check=False)

    with Quarantine(path, must_exist=True) as quarantine:
        assert [each.line for each in quarantine.lines()] == ["a"]
        assert quarantine.count().n_kept == 1


def write_five(quarantine: Quarantine) -> None:
    for _ in range(5):
        quarantine.set_aside([line("a")], device="dev", received_at_ns=7)


def test_it_may_be_read_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with Quarantine(path) as writer, Quarantine(path, must_exist=True) as reader:
        threads = [threading.Thread(target=write_five, args=(writer,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert len(reader.lines()) <= 15
        for thread in threads:
            thread.join()

        assert reader.count().n_kept == len(reader.lines()) == 15


def test_to_read_a_quarantine_that_is_not_there_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(QuarantineError, match=r"there is no quarantine here"):
        Quarantine(tmp_path / "q.sqlite", must_exist=True)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_file_that_can_not_be_used_is_told_plainly(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "q.sqlite"
    if is_folder:
        path.mkdir()
    else:
        path.write_text("no database, but long enough to be looked at " * 10)

    with pytest.raises(QuarantineError, match=r"can't be opened .* check the path"):
        Quarantine(path)


def test_a_full_disk_is_told_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with Quarantine(path) as quarantine:
        quarantine.set_aside([line("a")], device="dev", received_at_ns=7)
        # The database refuses to grow, with the same error as on a full disk.
        (n_pages,) = quarantine._connection.execute("PRAGMA page_count").fetchone()
        quarantine._connection.execute(f"PRAGMA max_page_count = {n_pages}")

        with pytest.raises(QuarantineError, match=r"make room on the disk"):
            quarantine.set_aside([line("x" * 100_000)], device="dev", received_at_ns=7)

        assert [each.line for each in quarantine.lines()] == ["a"]
        assert quarantine.count().n_kept == 1


def test_the_file_is_written_through_to_the_disk(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "q.sqlite") as quarantine:
        assert quarantine._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    reopened = sqlite3.connect(tmp_path / "q.sqlite")
    assert reopened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reopened.close()
