"""What the agent writes down of a subscription is what it reads again, or it is not used."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.counters import Counters
from edge_agent.settings_opcua import Monitoring, OpcuaSettings
from edge_agent.sources import opcua_adoption
from edge_agent.sources.opcua_adoption import Memory, Notebook
from edge_agent.sources.opcua_delivery import Delivery
from edge_agent.sources.opcua_items import Items, NodeKey, WatchedItem
from edge_agent.sources.opcua_link import SessionToken
from edge_agent.sources.opcua_sequences import Sequences
from edge_agent.sources.opcua_watermarks import Watermarks

TOKEN = SessionToken(b"\x05\x01", b"nonce", (("p", 1, "uri"),), "2026-01-01")
HOW = Monitoring(0.0, 10, "status-value", 0.0, 0.0)


def settings(*machines: str) -> OpcuaSettings:
    node = {"namespace_uri": "urn:x", "signal": "a_c", "unit": "°C"}
    return OpcuaSettings.model_validate({
        "name": "hall-1",
        "endpoint": "opc.tcp://h:4840",
        "trusted_servers_dir": "t",
        "nodes": [{**node, "node_id": f"s={name}", "machine": name} for name in machines],
    })


def items_of(*machines: str) -> Items:
    items = Items("opcua hall-1", "mill-7")
    items.lay_out(settings(*machines))
    for row, machine in enumerate(machines):
        key = NodeKey("urn:x", f"s={machine}", machine, "a_c")
        items.watched[key] = WatchedItem(
            row + 1, key, f"ns=2;s={machine}", 111 + row, HOW, 50.0, 10
        )
        items.rows = {**items.rows, row + 1: row}
    return items


def saved(folder: Path) -> tuple[Notebook, Memory]:
    notebook = Notebook(folder, "hall-1")
    marks = notebook.begin_marks(2)
    marks.note(np.array([0, 1, 0], np.uint32), np.array([5, 7, 3], np.int64))
    marks.last_sequence = 42
    return notebook, notebook.save("opc.tcp://h:4840", TOKEN, 9, 6.0, items_of("a", "b"))


def test_what_is_written_down_is_read_again_by_the_next_run(tmp_path: Path) -> None:
    _, memory = saved(tmp_path)

    known = Notebook(tmp_path, "hall-1").load()

    assert known is not None
    assert known[0] == memory
    assert known[1].newest_ns().tolist() == [5, 7]
    assert known[1].last_sequence == 42


def test_after_another_start_of_the_machine_the_last_number_is_not_counted_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    monkeypatch.setattr(opcua_adoption, "boot_id", lambda: "another")

    known = Notebook(tmp_path, "hall-1").load()

    assert known is not None
    assert known[1].last_sequence == 0


@given(end=st.integers(0, 2000), spoilt=st.binary(max_size=4))
def test_a_damaged_file_is_never_used_and_never_stops_the_agent(
    tmp_path_factory: pytest.TempPathFactory, end: int, spoilt: bytes
) -> None:
    folder = tmp_path_factory.mktemp("state")
    notebook, memory = saved(folder)
    whole = notebook.path.read_bytes()
    notebook.path.write_bytes(whole[:end] + spoilt)

    known = Notebook(folder, "hall-1").load()

    assert known is None or (end >= len(whole) and known[0] == memory)


def test_watermarks_of_another_length_are_not_used(tmp_path: Path) -> None:
    Watermarks.create(tmp_path / "marks", np.zeros(3, np.int64))

    assert Watermarks.open(tmp_path / "marks", 2) is None
    assert Watermarks.open(tmp_path / "marks", 3) is not None


def test_new_rows_keep_what_is_known_of_the_old_ones(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, "hall-1")
    marks = notebook.begin_marks(2)
    marks.note(np.array([0, 1], np.uint32), np.array([5, 7], np.int64))

    grown = notebook.begin_marks(3, marks, range(2))

    assert grown.newest_ns().tolist() == [5, 7, 0]


def test_handles_of_an_earlier_run_are_never_given_out_again(tmp_path: Path) -> None:
    _, memory = saved(tmp_path)
    items = Items("opcua hall-1", "mill-7")

    items.adopt(memory.items, memory.rows, memory.next_handle)

    assert items.rows == {1: 0, 2: 1}
    assert items.reserve_handles() > memory.next_handle > 2


def test_rows_stay_when_nodes_come_and_go() -> None:
    items = items_of("a", "b")

    has_new = items.lay_out(settings("b", "c"))

    assert has_new
    assert [series.machine for series in items.series] == ["a", "b", "c"]


@given(
    first=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    second=st.lists(st.integers(0, 9), min_size=3, max_size=3),
)
def test_two_gaps_are_one_that_begins_with_the_earlier(first: list[int], second: list[int]) -> None:
    async def both() -> list[int]:
        delivery = Delivery("x", items_of("a", "b", "c"), Counters(), lambda: 0)
        delivery.note_gap_since(np.array(first, np.int64))
        delivery.note_gap_since(np.array(second, np.int64))
        assert delivery.gap_starts is not None
        return [int(start) for start in delivery.gap_starts]

    expected = [
        min((start for start in pair if start), default=0)
        for pair in zip(first, second, strict=True)
    ]
    assert asyncio.run(both()) == expected


def test_only_what_the_server_holds_is_missing_while_the_last_number_is_unknown() -> None:
    sequences = Sequences(last=None)

    assert sequences.missing(500, available=[498, 499, 501]) == [498, 499]
    sequences.note(501)
    assert sequences.missing(503, available=[]) == [502, 503]
