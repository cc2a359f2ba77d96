"""Gap events upstream: each once, when it no longer grows, with the exact number of samples."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.oncall.gaps import MAX_TOLD_AT_ONCE, RESTS_AFTER_NS, GapNews, gap_batch
from ingest.telemetry import encode_lines, is_legal_name, unit_of

NOW_NS = 1_800_000_000_000_000_000
S = 1_000_000_000


@dataclass(frozen=True)
class Event:
    number: int
    began_at_ns: int
    ended_at_ns: int
    reason: str = "no room"
    first_ns: int | None = NOW_NS - 7200 * S
    last_ns: int | None = NOW_NS - 3600 * S
    n_samples: int = 1000
    n_series: int = 10


def rested(number: int) -> Event:
    return Event(number, NOW_NS - 200 * S, NOW_NS - 100 * S)


def test_an_event_is_told_once_and_only_when_it_no_longer_grows() -> None:
    news = GapNews()
    grows = Event(3, NOW_NS - 200 * S, NOW_NS - 1)

    first = news.of([grows, rested(2), rested(1)], NOW_NS)
    news.told(first)

    assert [gap.number for gap in first] == [2, 1]
    assert news.of([grows, rested(2), rested(1)], NOW_NS) == []
    assert news.of([grows], NOW_NS + RESTS_AFTER_NS) == [grows]


def test_what_could_not_be_made_durable_is_told_again() -> None:
    news = GapNews()

    assert news.of([rested(1)], NOW_NS) == news.of([rested(1)], NOW_NS) == [rested(1)]


def test_a_clock_that_was_set_back_hides_no_event() -> None:
    future = Event(1, NOW_NS + 3600 * S, NOW_NS + 3600 * S)

    assert GapNews().of([future], NOW_NS) == [future]


def test_a_restart_tells_the_newest_again_and_no_more() -> None:
    events = [rested(number) for number in range(500, 0, -1)]
    news = GapNews()

    told = news.of(events, NOW_NS)
    news.told(told)

    assert told == events[:MAX_TOLD_AT_ONCE]
    assert news.of(events, NOW_NS) == []


def test_the_samples_say_how_many_are_missing_and_when() -> None:
    lines = encode_lines(gap_batch("mill-7", "edge-1", [rested(1)])).decode().splitlines()

    told = {line.split("signal=")[1].split(" ")[0]: line.split(" ")[1:] for line in lines}
    at = str(NOW_NS - 200 * S)
    assert told == {
        "gap_no_room_age_s": ["value=7000.0,quality=0i", at],
        "gap_no_room_duration_s": ["value=3600.0,quality=0i", at],
        "gap_no_room_samples_count": ["value=1000.0,quality=0i", at],
        "gap_no_room_series_count": ["value=10.0,quality=0i", at],
    }
    for signal in told:
        assert is_legal_name(signal)
        assert unit_of(signal) in {"1", "s"}


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.sampled_from(["no room", "too old"])), min_size=1)
)
def test_no_sample_that_is_missing_is_told_twice_or_left_out(gaps: list[tuple[int, str]]) -> None:
    events = [
        Event(number, number * 60 * S, number * 60 * S, reason, None, None, n_samples)
        for number, (n_samples, reason) in enumerate(gaps, 1)
    ]

    batch = gap_batch("mill-7", "edge-1", events)

    counts = [n for n, series in enumerate(batch.series) if series.signal.endswith("samples_count")]
    told = [
        value
        for value, index in zip(batch.value.tolist(), batch.series_index.tolist(), strict=True)
        if index in counts
    ]
    assert sum(told) == sum(n_samples for n_samples, _ in gaps)
