"""What becomes of a body: stored, set aside, or put off as a whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.catalogue import OpenCatalogue
from ingest.errors import QuarantineError, StoreRejectedError, StoreUnavailableError
from ingest.ports import TelemetryStore
from ingest.quarantine import Quarantine
from ingest.service import DeviceCounts, IngestService
from ingest.telemetry import Series, TelemetryBatch
from ingest.tokens import TokenTable

NOW_NS = 1_700_000_000_000_000_000
FLOW = Series("mill-7", "pump-01", "flow_m3_h")


def line_of(k: int) -> str:
    head = "telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h"
    return f"{head} value={k}.5,quality=0i {NOW_NS - k}"


class Refusing(DuckDBStore):
    """A store that refuses, as a real one does for a field of another type or a full disk."""

    error: type[Exception] | None = None

    def write(self, batch: TelemetryBatch) -> None:
        if self.error is not None:
            raise self.error("field type conflict")
        super().write(batch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Refusing]:
    with Refusing(tmp_path / "telemetry.duckdb") as store:
        yield store


@pytest.fixture
def quarantine(tmp_path: Path) -> Iterator[Quarantine]:
    with Quarantine(tmp_path / "quarantine.sqlite") as quarantine:
        yield quarantine


def service_of(
    store: TelemetryStore, quarantine: Quarantine, seen: list[TelemetryBatch] | None = None
) -> IngestService:
    return IngestService(
        store,
        quarantine,
        OpenCatalogue(),
        lambda: NOW_NS,
        TokenTable({"t" * 32: "mill-7"}),
        None if seen is None else seen.append,
    )


def body_of(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def test_good_lines_are_stored_and_bad_ones_set_aside(
    store: Refusing, quarantine: Quarantine
) -> None:
    seen: list[TelemetryBatch] = []
    service = service_of(store, quarantine, seen)

    outcome = service.ingest(body_of(line_of(1), "junk", line_of(2)), precision="ns", device="a")

    assert outcome.n_stored == 2
    assert [rejected.line_number for rejected in outcome.set_aside] == [2]
    assert store.read([FLOW], 0, NOW_NS).value.tolist() == [2.5, 1.5]
    (kept,) = quarantine.lines()
    assert (kept.line, kept.device, kept.received_at_ns) == ("junk", "a", NOW_NS)
    assert [len(batch) for batch in seen] == [2]


def test_counts_are_kept_for_each_credential(store: Refusing, quarantine: Quarantine) -> None:
    service = service_of(store, quarantine)

    service.ingest(body_of(line_of(1), line_of(2)), precision="ns", device="a")
    service.ingest(body_of("junk", line_of(3)), precision="ns", device="b")
    service.ingest(body_of("junk", "junk"), precision="ns", device="b")

    assert service.counts() == {"a": DeviceCounts(2, 0), "b": DeviceCounts(1, 3)}
    assert service.device_of("t" * 32) == "mill-7"
    assert service.device_of("u" * 32) is None


def test_while_the_store_is_away_nothing_is_taken_and_the_same_body_is_whole_later(
    store: Refusing, quarantine: Quarantine
) -> None:
    seen: list[TelemetryBatch] = []
    service = service_of(store, quarantine, seen)
    body = body_of(line_of(1), "junk")
    store.error = StoreUnavailableError

    with pytest.raises(StoreUnavailableError):
        service.ingest(body, precision="ns", device="a")
    assert quarantine.count().n_kept == 0
    assert seen == []

    store.error = None
    service.ingest(body, precision="ns", device="a")
    assert len(store.read([FLOW], 0, NOW_NS)) == 1
    assert quarantine.count().n_kept == 1
    assert service.counts() == {"a": DeviceCounts(1, 1)}


def test_what_the_store_refuses_for_good_is_set_aside_with_its_reason(
    store: Refusing, quarantine: Quarantine
) -> None:
    seen: list[TelemetryBatch] = []
    service = service_of(store, quarantine, seen)
    store.error = StoreRejectedError

    outcome = service.ingest(body_of(line_of(1), "junk", line_of(2)), precision="ns", device="a")

    assert outcome.n_stored == 0
    assert [(each.line, each.reason) for each in quarantine.lines()[::-1]] == [
        (line_of(1), "field type conflict"),
        ("junk", "no fields after the measurement and tags"),
        (line_of(2), "field type conflict"),
    ]
    assert seen == []


def test_a_bad_line_that_can_not_be_kept_puts_the_body_off(
    store: Refusing, quarantine: Quarantine
) -> None:
    service = service_of(store, quarantine)
    quarantine.close()

    with pytest.raises(QuarantineError):
        service.ingest(body_of(line_of(1), "junk"), precision="ns", device="a")

    # The good line is stored already; sent again, it is stored once all the same.
    assert len(store.read([FLOW], 0, NOW_NS)) == 1


@settings(max_examples=60)
@given(
    n_lines=st.integers(1, 20),
    place=st.integers(0, 20),
    poison=st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=50),
)
def test_one_bad_line_at_any_place_leaves_all_others_stored_and_one_reason(
    tmp_path_factory: pytest.TempPathFactory, n_lines: int, place: int, poison: str
) -> None:
    folder = tmp_path_factory.mktemp("poison")
    lines = [line_of(k) for k in range(n_lines)]
    lines.insert(place, "telemetry " + poison)

    with (
        DuckDBStore(folder / "telemetry.duckdb") as store,
        Quarantine(folder / "quarantine.sqlite") as quarantine,
    ):
        outcome = service_of(store, quarantine).ingest(body_of(*lines), precision="ns", device="a")

        assert outcome.n_stored == n_lines
        assert len(store.read([FLOW], 0, NOW_NS + 1)) == n_lines
        (kept,) = quarantine.lines()
        assert kept.line == ("telemetry " + poison).removesuffix("\r")
        assert kept.reason
        assert kept.remedy
