"""When an agent is called unhealthy, and that the reason tells what to do."""

import datetime
from pathlib import Path

import pytest

from edge_agent.oncall.certificates import CertificateEnd
from edge_agent.oncall.facts import Facts, LaneFacts, SourceFacts
from edge_agent.oncall.health import reasons
from edge_agent.oncall.status import status_document, status_text
from edge_agent.reload import ReloadOutcome
from tests.unit.edge_agent.oncall.facts_for_tests import NOW, counts, disk, facts


def certificate(days: int) -> CertificateEnd:
    return CertificateEnd("own certificate", Path("own.der"), NOW + datetime.timedelta(days=days))


UNWELL = {
    "source_silent": (
        facts(sources=(SourceFacts("mqtt hall-2", "lost", 301.0, 5, "mqtt hall-2: refused"),)),
        "mqtt hall-2: silent for 5 min: mqtt hall-2: refused",
    ),
    "uplink_down": (
        facts(lanes=(LaneFacts("backlog", "no route", 301.0, 0),)),
        "lane backlog: nothing taken for 5 min: no route",
    ),
    "disk_failing": (
        facts(disk=disk(trouble="disk full; make room", trouble_s=3.0)),
        "outbox: can't be written for 3 s: disk full; make room",
    ),
    "disk_silent": (facts(disk=disk(unanswered_s=61.0)), "has not answered for 61 s; look at"),
    "disk_full": (facts(disk=disk(free_bytes=40_000_000)), "40 MB are left on its disk; make room"),
    "outbox_nearly_full": (
        facts(disk=disk(counts=counts(n_used_bytes=950_000))),
        "outbox: 95% full; when it is full samples are dropped and counted; bring the uplink back",
    ),
    "reload_refused": (
        facts(reload=ReloadOutcome("refused", 1, "edge.toml, x: unknown key; known keys are y")),
        "edge.toml, x: unknown key; known keys are y",
    ),
    "certificate_ends": (
        facts(certificates=(certificate(days=59),)),
        "own certificate: own.der ends on 2026-07-30; renew it",
    ),
    "clock_wrong": (
        facts(now=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)),
        "the clock of this device says 1970-01-01 00:00 UTC; set it",
    ),
}


@pytest.mark.parametrize("code", UNWELL)
def test_each_thing_that_does_not_mend_itself_is_a_reason_with_its_remedy(code: str) -> None:
    unwell, text = UNWELL[code]

    (reason,) = reasons(unwell)

    assert reason.code == code
    assert text in reason.text


@pytest.mark.parametrize(
    "well",
    [
        facts(),
        facts(sources=(SourceFacts("opcua hall-1", "lost", 299.0, 5, "refused"),)),
        facts(lanes=(LaneFacts("backlog", "no route", 299.0, 0),)),
        facts(certificates=(certificate(days=61),)),
        facts(reload=ReloadOutcome("taken", 1, None, ("uplink.url",))),
        facts(disk=disk(counts=None, free_bytes=None)),
    ],
)
def test_what_mends_itself_soon_is_no_reason(well: Facts) -> None:
    assert reasons(well) == []


def test_a_certificate_that_has_ended_says_so() -> None:
    (reason,) = reasons(facts(certificates=(certificate(days=-1),)))

    assert "ended on 2026-05-31" in reason.text


def test_the_page_says_first_what_is_wrong_and_then_everything() -> None:
    unwell, text = UNWELL["uplink_down"]

    page = status_text(status_document(unwell))

    first, second, *_ = page.splitlines()
    assert first == "edge-1, site mill-7: NOT WELL"
    assert second == f"  uplink_down: {text}"
    assert "outbox: 20 samples in 2 records wait; 0.0 of at most 1 MB" in page
    assert "opcua hall-1  delivering  0 s ago        1,000" in page
    well = status_text(status_document(facts()))
    assert well.startswith("edge-1, site mill-7: well\n")
    assert "lane alarm: works; 0 samples wait\n" in well
    assert "lane backlog: works; 20 samples wait, the oldest 2 s old\n" in well
