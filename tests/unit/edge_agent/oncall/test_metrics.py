"""The metrics can be read by a parser of the format's own rules, and each is described."""

import dataclasses
import re

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.counters import Counters
from edge_agent.oncall.facts import SourceFacts
from edge_agent.oncall.metrics import GAUGE_FIELDS, PREFIX, all_metrics, counter_metrics, expose
from tests.unit.edge_agent.oncall.facts_for_tests import facts

_SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"\})? (\S+)'
)
_UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def parse(text: str) -> dict[tuple[str, str | None], float]:
    """Read the text format 0.0.4, strictly, by its published grammar."""
    samples: dict[tuple[str, str | None], float] = {}
    described: list[str] = []
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            described.append(line.split(" ", 3)[2])
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == described[-1]
            assert kind in {"counter", "gauge"}
            continue
        found = _SAMPLE.fullmatch(line)
        assert found is not None, line
        name, _, label, value = found.groups()
        assert name == described[-1]
        if label is not None:
            label = re.sub(r'\\[\\"n]', lambda escape: _UNESCAPED[escape[0]], label)
        assert (name, label) not in samples
        samples[name, label] = float(value)
    assert len(described) == len(set(described))
    return samples


def test_every_counter_is_told_with_the_meaning_that_its_field_has() -> None:
    counters = Counters()
    numbers: dict[str, int | dict[str, int]] = {}
    for number, field in enumerate(dataclasses.fields(counters), 1):
        is_number = isinstance(getattr(counters, field.name), int)
        numbers[field.name] = number if is_number else {"BadNoData": number}

    samples = parse(expose(facts(counters=numbers)))

    for number, (field_name, metric) in enumerate(counter_metrics().items(), 1):
        label = None if metric.label is None else "BadNoData"
        assert samples[PREFIX + metric.name, label] == number
        assert len(metric.meaning.split()) > 2, field_name
    assert counter_metrics().keys() >= GAUGE_FIELDS


def test_sources_lanes_outbox_and_build_are_told() -> None:
    samples = parse(expose(facts()))

    assert samples[f"{PREFIX}build_info", "1.2.3"] == 1
    assert samples[f"{PREFIX}healthy", None] == 1
    assert samples[f"{PREFIX}source_delivering", "opcua hall-1"] == 1
    assert samples[f"{PREFIX}source_samples_total", "opcua hall-1"] == 1000
    assert samples[f"{PREFIX}uplink_up", "alarm"] == 1
    assert samples[f"{PREFIX}uplink_in_flight_records", "backlog"] == 3
    assert samples[f"{PREFIX}outbox_samples", None] == 20
    assert samples[f"{PREFIX}uplink_lag_seconds", "backlog"] == 1.5


def test_every_metric_that_is_told_is_listed_once_and_named_as_prometheus_asks() -> None:
    names = [metric.name for metric in all_metrics()]

    assert len(names) == len(set(names))
    assert {name.removeprefix(PREFIX) for name, _ in parse(expose(facts()))} <= set(names)
    for metric in all_metrics():
        assert re.fullmatch("[a-z][a-z0-9_]*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")


@given(st.text(max_size=30), st.floats(0, 1e12))
def test_no_name_of_a_source_can_break_the_page(name: str, silent_s: float) -> None:
    source = SourceFacts(name, "delivering", silent_s, 5, None)

    samples = parse(expose(facts(sources=(source,))))

    assert samples[f"{PREFIX}source_silent_seconds", name] == silent_s
