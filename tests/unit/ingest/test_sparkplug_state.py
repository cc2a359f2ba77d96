"""Certificates of the host application: what is told when, whatever happens."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ingest.sparkplug_state import HostState

OFFLINE = b'{"online": false, "timestamp": 1}'


def told(certificate: bytes) -> tuple[bool, int]:
    document = json.loads(certificate)
    assert set(document) == {"online", "timestamp"}
    return document["online"], document["timestamp"]


def test_the_topic_ends_in_the_host_id() -> None:
    assert HostState("staybolt").topic == "spBv1.0/STATE/staybolt"


def test_birth_has_the_time_of_the_will_and_the_goodbye_its_own() -> None:
    state = HostState("staybolt")

    assert told(state.will(1000)) == (False, 1000)
    assert told(state.birth()) == (True, 1000)
    assert told(state.death(5000)) == (False, 5000)
    assert told(state.will(6000)) == (False, 6000)
    assert told(state.birth()) == (True, 6000)


def test_whoever_says_we_are_not_there_is_contradicted_with_the_time_of_the_will() -> None:
    state = HostState("staybolt")
    state.will(1000)
    assert state.heard(OFFLINE) is None, "before our birth it is true"
    state.birth()

    for payload in (OFFLINE, b"", b"OFFLINE", b"[1]", b'{"online": 1}', b"\xff"):
        again = state.heard(payload)
        assert again is not None
        assert told(again) == (True, 1000)
    assert state.heard(state.birth()) is None

    state.death(2000)
    assert state.heard(OFFLINE) is None, "we have left"


@given(
    st.lists(
        st.tuples(st.sampled_from(["connect", "hear", "leave"]), st.integers(0, 10)), max_size=30
    )
)
def test_times_never_go_back_and_birth_always_equals_its_will(
    steps: list[tuple[str, int]],
) -> None:
    state, last_ms, will_ms = HostState("h"), 0, None
    for what, now_ms in steps:
        if what == "connect":
            is_online, will_ms = told(state.will(now_ms))
            assert not is_online
            assert will_ms >= last_ms
            assert told(state.birth()) == (True, will_ms)
            last_ms = will_ms
        elif what == "hear":
            again = state.heard(OFFLINE)
            assert (again is None) == (will_ms is None)
            assert again is None or told(again) == (True, will_ms)
        else:
            is_online, at_ms = told(state.death(now_ms))
            assert not is_online
            assert at_ms >= last_ms
            last_ms, will_ms = at_ms, None
