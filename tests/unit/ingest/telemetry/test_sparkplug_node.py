"""The rules of one Sparkplug node: order, births, deaths, and what is in doubt."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry.sparkplug_node import ASK_FIRST_S, ASK_MAX_S, Arrived, EdgeNode, Kind

TIMEOUT_S = 2.0


def message(kind: Kind, seq: int | None, name: str = "", at_ms: int = 1) -> Arrived[str]:
    bd_seq = 7 if kind in {"NBIRTH", "NDEATH"} else None
    return Arrived(kind, seq, bd_seq, at_ms, name or f"{kind} {seq}")


def born() -> EdgeNode[str]:
    node: EdgeNode[str] = EdgeNode(TIMEOUT_S)
    assert node.arrived(message("NBIRTH", 0), 0.0)
    return node


def read(node: EdgeNode[str], one: Arrived[str], now_s: float = 0.0) -> list[tuple[str, bool]]:
    return [(decided.ticket, decided.is_doubtful) for decided in node.arrived(one, now_s)]


def test_messages_in_order_are_read_at_once_and_believed() -> None:
    node = born()

    told = [read(node, message("NDATA", seq % 256, str(seq), seq)) for seq in range(1, 600)]

    assert told == [[(str(seq), False)] for seq in range(1, 600)]
    assert not node.is_to_be_asked(0.0)


def test_a_message_that_was_overtaken_is_waited_for() -> None:
    node = born()

    assert read(node, message("NDATA", 3)) == []
    assert read(node, message("NDATA", 2)) == []
    assert read(node, message("NDATA", 1)) == [
        ("NDATA 1", False), ("NDATA 2", False), ("NDATA 3", False)
    ]  # fmt: skip
    assert node.n_missed == 0


def test_what_never_comes_is_counted_and_the_node_is_asked_until_it_is_born_again() -> None:
    node = born()
    assert read(node, message("NDATA", 3), 0.0) == []
    assert node.tick(TIMEOUT_S / 2) == []

    assert [(one.ticket, one.is_doubtful) for one in node.tick(TIMEOUT_S)] == [("NDATA 3", True)]
    assert node.n_missed == 2
    assert node.is_to_be_asked(TIMEOUT_S)
    assert not node.is_to_be_asked(TIMEOUT_S + ASK_FIRST_S / 2)
    assert node.is_to_be_asked(TIMEOUT_S + ASK_FIRST_S)
    assert read(node, message("NDATA", 4), 3.0) == [("NDATA 4", True)]
    assert read(node, message("NBIRTH", 0), 3.0) == [("NBIRTH 0", False)]
    assert read(node, message("NDATA", 1), 3.0) == [("NDATA 1", False)]
    assert not node.is_to_be_asked(3.0)


def test_a_node_that_does_not_obey_is_asked_less_and_less() -> None:
    node: EdgeNode[str] = EdgeNode(TIMEOUT_S)

    asked = [now for now in range(3600) if node.is_to_be_asked(float(now))]

    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:3] == [10, 20, 40]
    assert pauses[-1] == ASK_MAX_S


def test_what_the_broker_sends_again_is_read_again_and_is_no_gap() -> None:
    node = born()
    for seq in range(1, 50):
        read(node, message("NDATA", seq, at_ms=seq))

    again = [read(node, message("NDATA", seq, at_ms=seq)) for seq in range(30, 50)]

    assert [told[0][1] for told in again] == [False] * 20
    assert read(node, message("NDATA", 50, at_ms=50)) == [("NDATA 50", False)]
    assert node.n_missed == 0


def test_a_node_that_began_anew_without_our_hearing_it_is_in_doubt() -> None:
    node = born()
    for seq in range(1, 200):
        read(node, message("NDATA", seq, at_ms=seq))

    assert read(node, message("NDATA", 100, at_ms=9000)) == [("NDATA 100", True)]
    assert node.is_to_be_asked(0.0)


def test_a_death_of_an_earlier_connection_is_not_believed() -> None:
    node = born()

    old = Arrived[str]("NDEATH", None, 6, 1, "old")
    assert [one.is_ignored for one in node.arrived(old, 0.0)] == [True]
    assert read(node, message("NDATA", 1)) == [("NDATA 1", False)]
    now = node.arrived(message("NDEATH", None), 0.0)
    assert [one.is_ignored for one in now] == [False]
    twice = node.arrived(message("NDEATH", None), 0.0)
    assert [one.is_ignored for one in twice] == [True]


def test_after_a_lost_connection_everything_is_in_doubt_and_nothing_that_waited_is_lost() -> None:
    node = born()
    read(node, message("NDATA", 2))

    assert [one.ticket for one in node.disconnected()] == ["NDATA 2"]
    assert node.is_to_be_asked(0.0)


@pytest.mark.parametrize("seed", range(5))
def test_in_any_order_within_the_wait_all_is_read_once_in_order(seed: int) -> None:
    chance, node = random.Random(seed), born()  # noqa: S311 - repeatable
    order = list(range(1, 400))
    for start in range(0, len(order), 20):
        part = order[start : start + 20]
        chance.shuffle(part)
        order[start : start + 20] = part

    told = [one for seq in order for one in read(node, message("NDATA", seq % 256, str(seq), seq))]

    assert [int(name) for name, _ in told] == list(range(1, 400))
    assert not any(doubtful for _, doubtful in told)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDATA", "DDEATH", "tick", "cut"]),
        st.integers(0, 255) | st.none(),
        st.integers(0, 40),
        st.floats(0, 3),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_every_message_is_decided_once_in_the_end(
    steps: list[tuple[str, int | None, int, float]],
) -> None:
    node: EdgeNode[str] = EdgeNode(TIMEOUT_S)
    sent, decided, now_s = 0, [], 0.0
    for kind, seq, at_ms, pause_s in steps:
        now_s += pause_s
        if kind == "tick":
            decided += node.tick(now_s)
        elif kind == "cut":
            decided += node.disconnected()
        else:
            sent += 1
            arrived = message(kind, seq, str(sent), at_ms)  # type: ignore[arg-type]  # one of them
            decided += node.arrived(arrived, now_s)
    decided += node.tick(now_s + 10)
    decided += node.disconnected()

    assert sorted(int(one.ticket) for one in decided) == list(range(1, sent + 1))


def test_a_node_that_speaks_after_its_death_has_to_be_born_again() -> None:
    node = born()
    node.arrived(message("NDEATH", None), 0.0)
    assert not node.is_to_be_asked(0.0)

    assert read(node, message("DDATA", 1)) == [("DDATA 1", True)]
    assert node.is_to_be_asked(0.0)
    assert read(node, message("NBIRTH", 0)) == [("NBIRTH 0", False)]


def test_a_death_is_believed_before_any_birth_was_heard() -> None:
    node: EdgeNode[str] = EdgeNode(TIMEOUT_S)

    told = [node.arrived(message("NDEATH", None), 0.0)[0].is_ignored for _ in range(2)]

    assert told == [False, True]
