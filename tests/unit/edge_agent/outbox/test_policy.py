"""What is dropped for what, how it is noted, and files of earlier versions."""

import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge_agent.errors import OutboxError
from edge_agent.outbox import Outbox, QuarantineDesk
from edge_agent.records import Entry, Priority
from ingest.telemetry import Series, TelemetryBatch, decode_lines, encode_lines
from tests.naive.outbox import OutboxModel

OF_SCHEMA_1 = Path(__file__).parents[3] / "data" / "outbox-schema-1.sqlite"
SMALLEST = 1_000_000
START_NS = 1_790_000_000_000_000_000
SERIES = tuple(Series("mill-7", "press-04", f"flow_{n}_m3_h") for n in range(100))


def second(number: int) -> TelemetryBatch:
    """All series once, at one second."""
    chance = np.random.default_rng(number)
    n = len(SERIES)
    return TelemetryBatch.of(
        SERIES, range(n), [START_NS + number * 10**9] * n, chance.random(n), [0] * n
    )


def keep(outbox: Outbox, number: int, priority: Priority = "raw") -> int:
    batch = second(number)
    return outbox.append([Entry(priority, b"", len(batch), (batch,))])[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


def test_old_raw_samples_are_thinned_before_any_are_dropped_and_alarms_stay(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(1200):
            keep(outbox, number, "alarm" if number % 100 == 0 else "raw")
        counts, gaps = outbox.counts(), outbox.gaps()
        records = outbox.read_oldest(10**9, 10**6)

    alarms = [record.sequence for record in records if record.priority == "alarm"]
    assert counts.n_bytes <= SMALLEST
    assert alarms == list(range(1, 1201, 100))
    assert {gap.reason for gap in gaps} >= {"thinned"}
    assert sum(gap.n_samples for gap in gaps) == counts.n_dropped_samples
    assert counts.n_samples + counts.n_dropped_samples == 1200 * len(SERIES)
    assert 0 < counts.n_thinned_records < counts.n_records
    assert records[-1].n_samples == len(SERIES), "the newest are there in full"
    assert all(gap.first_ns is not None and gap.first_ns >= START_NS for gap in gaps)


def test_what_thinning_leaves_is_what_was_sensed(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(1000):
            keep(outbox, number)
        records = outbox.read_oldest(10**9, 10**6)

    for record in records[:50]:
        batch = decode_lines(record.body, received_at_ns=0).batch
        sensed = second(int(batch.source_time_ns[0] - START_NS) // 10**9)
        value_of = dict(zip(sensed.series, sensed.value.tolist(), strict=True))
        for row, value in zip(batch.series_index.tolist(), batch.value.tolist(), strict=True):
            assert value == value_of[batch.series[row]]


def test_when_only_alarms_are_left_raw_samples_go_and_then_the_oldest_alarms(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(1500):
            keep(outbox, number, "alarm")
        before = outbox.counts()
        raw = [keep(outbox, 1500 + number) for number in range(20)]
        counts = outbox.counts()

    assert before.oldest_sequence is not None
    assert before.oldest_sequence > 1
    assert raw == list(range(1501, 1521)), "what is dropped has its number, too"
    assert counts.n_alarm_records == before.n_alarm_records
    assert counts.n_records < before.n_records + 20
    assert counts.n_samples + counts.n_dropped_samples == 1520 * len(SERIES)


def test_raw_records_that_are_too_old_go_whatever_the_clock_says(path: Path) -> None:
    hours = [0.0]
    with Outbox(path, SMALLEST, max_age_h=2.0, monotonic_s=lambda: hours[0] * 3600) as outbox:
        for number in range(5):
            keep(outbox, number, "alarm" if number == 0 else "raw")
            hours[0] += 1.0
        left = [record.sequence for record in outbox.read_oldest(10**9, 100)]
        (gap,) = outbox.gaps()

    assert left == [1, 3, 4, 5]
    assert (gap.reason, gap.n_samples) == ("too old", len(SERIES))


def test_alarms_are_read_newest_first(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        for number in range(6):
            keep(outbox, number, "alarm" if number % 2 else "raw")

        alarms = [record.sequence for record in outbox.read_newest_alarms(10**9, 2)]
        everything = [record.priority for record in outbox.read_oldest(10**9, 100)]

    assert alarms == [6, 4]
    assert everything == ["raw", "alarm"] * 3


def test_a_record_taken_apart_leaves_only_its_bad_lines(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        number = keep(outbox, 1)
        lines = outbox.read_oldest(10**9, 1)[0].body.splitlines()
        outbox.take_apart(number, [(lines[3], "too wet"), (lines[5], "too dry")])
        outbox.take_apart(99, [(b"x", "not there")])
        entries = outbox.quarantine()
        counts = outbox.counts()

    assert counts.n_records == 0
    assert {(entry.reason, entry.body.rstrip()) for entry in entries} == {
        ("too wet", lines[3]),
        ("too dry", lines[5]),
    }


def test_each_file_has_a_name_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    names = set()
    for folder in ("a", "b"):
        for _ in range(2):
            with Outbox(tmp_path / folder / "outbox.sqlite", SMALLEST) as outbox:
                names.add(outbox.outbox_id)

    assert len(names) == 2
    assert all(len(bytes.fromhex(name)) == 8 for name in names)


def test_the_file_shrinks_when_a_backlog_was_sent(path: Path) -> None:
    with Outbox(path, 50_000_000) as outbox:
        for number in range(8000):
            if number % 20 == 0:
                outbox.append([Entry("raw", b"", 100, (second(number),)) for _ in range(20)])
        large = path.stat().st_size
        while records := outbox.read_oldest(10**6, 1000):
            outbox.forget([record.sequence for record in records])
        outbox.tidy()
    small = path.stat().st_size

    assert large > 3_000_000
    assert small < large / 4


def test_a_source_gone_wild_with_names_takes_no_room_from_others(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        batch = second(0)
        for number in range(200):
            wild = tuple(Series("mill-7", f"m-{number}-{n}", "x_ratio") for n in range(50))
            batch = TelemetryBatch.of(wild, range(50), [number] * 50, [1.0] * 50, [0] * 50)
            outbox.append([Entry("raw", b"", 50, (batch,))])
        lines = encode_lines(batch)
        (n_names,) = outbox._database.execute("SELECT count(*) FROM series").fetchone()
        newest = outbox.read_oldest(10**9, 10**6)[-1]

    assert n_names < 2000
    assert newest.body == lines


def test_a_file_of_schema_1_is_taken_over_with_all_it_holds(path: Path) -> None:
    shutil.copyfile(OF_SCHEMA_1, path)

    with Outbox(path, SMALLEST) as outbox:
        records = outbox.read_oldest(10**9, 100)
        kinds = [entry.kind for entry in outbox.quarantine()]
        following = keep(outbox, 1)
        name = outbox.outbox_id
    with Outbox(path, SMALLEST) as outbox:
        assert outbox.outbox_id == name

    assert [record.sequence for record in records] == [3, 4, 6, 7, 8]
    assert {record.n_samples for record in records} == {40}
    assert b"press-04,signal=vibration_mm_s value=2.3,quality=0i" in records[0].body
    assert sorted(kinds) == ["damaged", "payload", "refused"], "record 5 was damaged"
    assert following == 9


def test_a_guest_puts_entries_back_while_the_agent_runs(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        keep(outbox, 1)
        lines = outbox.read_oldest(10**9, 1)[0].body
        outbox.set_aside([1], "400 type conflict")
        (entry,) = outbox.quarantine()
        with QuarantineDesk(path, SMALLEST) as desk:
            (found,) = desk.entries([entry.number])
            number = desk.retry(found, found.body, found.n_samples)
            again = desk.retry(found, found.body, found.n_samples)
        counts = outbox.counts()
        sent = outbox.read_oldest(10**9, 10)
        following = keep(outbox, 2)

    assert (number, again, following) == (2, None, 3)
    assert (counts.n_records, counts.n_quarantined) == (1, 0)
    assert [record.body for record in sent] == [lines]


def test_what_is_dropped_by_hand_is_counted(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        keep(outbox, 1)
        outbox.set_aside([1], "400")
        with QuarantineDesk(path, SMALLEST) as desk:
            assert desk.drop(desk.entries([1, 2])) == 1
        assert outbox.counts().n_dropped_samples == len(SERIES)
        assert [gap.reason for gap in outbox.gaps()] == ["by hand"]


def test_a_guest_drops_nothing_to_make_room(path: Path) -> None:
    with Outbox(path, SMALLEST) as outbox:
        keep(outbox, 0)
        outbox.set_aside([1], "400")
        for number in range(1, 1200):
            keep(outbox, number, "alarm")
        before = outbox.counts()
        with QuarantineDesk(path, SMALLEST) as desk:
            (entry,) = desk.entries([1])
            with pytest.raises(OutboxError, match="is full"):
                desk.retry(entry, random.Random(1).randbytes(100_000), entry.n_samples)  # noqa: S311

        assert outbox.counts().n_records == before.n_records


class OutboxMachine(RuleBasedStateMachine):
    """Any order of calls and restarts, against the plain model."""

    @initialize(folder=st.just(None))
    def begin(self, folder: None) -> None:

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.sqlite"
        self.outbox = Outbox(self.path, 50_000_000)
        self.model = OutboxModel()
        self.counter = 0

    @rule(kinds=st.lists(st.sampled_from(["alarm", "raw"]), max_size=3), is_lines=st.booleans())
    def append(self, kinds: list[Priority], is_lines: bool) -> None:
        entries: list[Entry] = []
        plain: list[tuple[str, bytes]] = []
        for kind in kinds:
            self.counter += 1
            batch = second(self.counter).take(np.arange(3))
            lines = encode_lines(batch)
            entries.append(Entry(kind, lines, 3) if is_lines else Entry(kind, b"", 3, (batch,)))
            plain.append((kind, lines))

        assert self.outbox.append(entries) == self.model.append(plain)

    @rule(n=st.integers(1, 5))
    def forget(self, n: int) -> None:
        numbers = self.model.oldest(n)
        self.outbox.forget(numbers)
        self.model.forget(numbers)

    @rule(n=st.integers(1, 3))
    def forget_alarms(self, n: int) -> None:
        numbers = self.model.newest_alarms(n)
        self.outbox.forget(numbers)
        self.model.forget(numbers)

    @rule(n=st.integers(1, 3))
    def set_aside(self, n: int) -> None:
        numbers = self.model.oldest(n)
        self.outbox.set_aside(numbers, "no")
        self.model.set_aside(numbers, "no")

    @rule()
    def tidy(self) -> None:
        self.outbox.tidy()

    @rule()
    def restart(self) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.path, 50_000_000)

    @invariant()
    def is_as_the_model_says(self) -> None:
        if not hasattr(self, "outbox"):
            return
        records = self.outbox.read_oldest(10**9, 1000)
        alarms = self.outbox.read_newest_alarms(10**9, 2)
        counts = self.outbox.counts()
        assert {record.sequence: (record.priority, record.body) for record in records} == (
            self.model.waiting
        )
        assert [record.sequence for record in records] == self.model.oldest(1000)
        assert [record.sequence for record in alarms] == self.model.newest_alarms(2)
        assert counts.n_samples == 3 * len(self.model.waiting)
        assert counts.oldest_sequence == next(iter(self.model.oldest(1)), None)
        entries = [(entry.origin, entry.reason) for entry in self.outbox.quarantine()]
        assert entries == self.model.aside[::-1]

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.outbox.close()
            self.folder.cleanup()


OutboxMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
TestAgainstTheModel = OutboxMachine.TestCase
