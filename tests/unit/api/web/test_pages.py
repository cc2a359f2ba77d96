"""Every page, rendered by the real application over real stores."""

import html
import re
from datetime import timedelta

import httpx
import pytest

from api.app import create_app
from api.context import AppContext
from api.planning.service import ProposalService
from api.web.language import Speech
from api.web.proposals import plan_of
from api.worker import Worker
from tests.unit.api import fleet
from tests.unit.api.asking import ask
from tests.unit.api.web.messages import said_messages

ENGLISH_ON_CHINESE_PAGES = {"days", "h", "no", "far", "off", "yes", "part", "First", "Last"}
"""Too short to look for in a page of names and attributes."""


@pytest.fixture
def judged(worn_presses: AppContext) -> AppContext:
    """Presses with health, proposals and risks."""
    Worker(worn_presses).run_once()
    return worn_presses


def page(context: AppContext, path: str, language: str = "en") -> httpx.Response:
    return ask(create_app(context), path, headers={"accept-language": language})


def text_of(answer: httpx.Response) -> str:
    """What a person reads."""
    body = re.sub(r"(?s)<(script|style|head).*?</\1>|<code.*?</code>", " ", answer.text)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def paths(context: AppContext) -> list[str]:
    customers = ask(create_app(context), "/v1/customers").json()["items"]
    risk = next(customer["risk"] for customer in customers if customer["risk"])
    return [
        "/",
        "/machines/acme-press-1",
        "/machines/calm-press-1",
        "/proposals",
        "/customers",
        *(f"/customers/{customer['key']}" for customer in customers),
        f"/evidence/risk/{risk['id']}",
    ]


def test_the_worn_press_comes_first_with_its_life_as_an_interval(judged: AppContext) -> None:
    read = text_of(page(judged, "/"))

    assert "acme-press-1" in read
    assert read.index("acme-press-1") < read.index("calm-press-1")
    assert re.search(r"\d+(\.\d)?–\d+(\.\d)? days", read)


def test_every_page_is_answered_in_both_languages(judged: AppContext) -> None:
    for path in paths(judged):
        for language in ("en", "zh-CN"):
            answer = page(judged, path, language)
            assert answer.status_code == 200, (path, answer.text[:400])
            assert answer.headers["content-language"] == ("en" if language == "en" else "zh-Hans")


def test_chinese_pages_hold_no_english_message(judged: AppContext) -> None:
    fixed = {
        message
        for message in said_messages()
        if "{" not in message and len(message) > 4 and message not in ENGLISH_ON_CHINESE_PAGES
    }

    for path in [*paths(judged), "/machines/nobody"]:
        read = text_of(page(judged, path, "zh-CN"))
        left = {said for said in fixed if re.search(rf"(?<![\w-]){re.escape(said)}(?![\w-])", read)}
        assert left == set(), path


def test_an_empty_installation_leads_by_the_hand(context: AppContext) -> None:
    fleet, customers = text_of(page(context, "/")), text_of(page(context, "/customers"))

    assert "Three steps to the first answer" in fleet
    assert "No customers yet" in customers
    assert page(context, "/proposals").status_code == 200
    assert "staybolt import" in page(context, "/customers").text


def test_machines_that_never_sent_are_folded_away(presses: AppContext) -> None:
    read = page(presses, "/").text

    assert re.search(r"<details[^>]*id=\"unconnected\"[^>]*>", read)
    assert "needs somebody" not in text_of(page(presses, "/"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/machines/nobody", 404),
        ("/customers/nobody", 404),
        ("/evidence/risk/999", 404),
        ("/evidence/rumour/1", 400),
        ("/evidence/samples/nonsense", 400),
        ("/machines/acme-press-1?from=yesterday", 400),
    ],
)
def test_what_is_not_there_gets_a_page_that_says_so(
    presses: AppContext, path: str, status: int
) -> None:
    answer = page(presses, path)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "Go to the fleet" in answer.text


def test_names_from_outside_are_escaped(presses: AppContext) -> None:
    answer = page(presses, "/machines/%3Cscript%3Ealert(1)%3C%2Fscript%3E")

    assert "<script>alert" not in answer.text


def test_choosing_a_language_is_remembered(judged: AppContext) -> None:
    answer = page(judged, "/customers?lang=zh")

    assert "按风险金额排列的客户" in answer.text
    assert "staybolt_language=zh" in answer.headers["set-cookie"]
    assert 'href="/customers?lang=en"' in answer.text


def test_the_waterfall_adds_up_to_the_money_at_risk(judged: AppContext) -> None:
    customers = ask(create_app(judged), "/v1/customers").json()["items"]
    key = next(customer["key"] for customer in customers if customer["risk"])

    rows = re.findall(r'<div class="amount">([^<]+)</div>', page(judged, f"/customers/{key}").text)

    amounts = [float(re.sub(r"[^\d−.]", "", row).replace("−", "-")) for row in rows]
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=len(amounts))


def test_evidence_of_health_ends_in_samples_with_their_chart(judged: AppContext) -> None:
    machine = ask(create_app(judged), "/v1/machines/acme-press-1").json()

    answer = page(judged, f"/evidence/health/{machine['health']['snapshot_id']}")

    assert "See them in the machine&#39;s charts" in answer.text
    assert re.search(r'href="/machines/acme-press-1\?from=[^"]+to=', answer.text)


def test_a_visit_day_in_the_past_is_never_shown_as_a_plan(
    judged: AppContext, clock: fleet.Clock
) -> None:
    proposal = ProposalService(judged).proposals()[0]
    day = Speech("en", clock()).day(proposal.visit_by)
    assert day in text_of(page(judged, "/proposals"))

    clock.now = proposal.visit_by + timedelta(days=2)

    for path in ("/", "/proposals", f"/machines/{proposal.machine_key}"):
        read = text_of(page(judged, path))
        assert "at once" in read, path
        assert day not in read, path


def test_proposals_are_parted_by_how_soon_the_visit_is(judged: AppContext) -> None:
    one = ProposalService(judged).proposals()[0]
    days = [0, 7, 8, 30, 31]

    silent = one.model_copy(
        update={"as_of": fleet.NOW - timedelta(days=20), "best_day": 12, "days_to_visit": 0}
    )
    proposals = [one.model_copy(update={"days_to_visit": n}) for n in days]

    plan = plan_of([*proposals, silent], fleet.NOW)

    assert plan.old == [silent]
    assert [[p.days_to_visit for p in part] for part in (plan.soon, plan.month, plan.later)] == [
        [0, 7],
        [8, 30],
        [31],
    ]


def test_evidence_of_a_risk_names_the_customer_and_folds_what_is_deeper(
    judged: AppContext,
) -> None:
    answer = page(judged, paths(judged)[-1])

    assert '<a href="/customers/acme">Acme</a>' in answer.text
    assert "Acme is " in text_of(answer)
    assert answer.text.count('<details class="under" open>') == 1
    assert re.search(r'<a class="button" href="/machines/[^"]+from=', answer.text)
