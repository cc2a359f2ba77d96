"""The door: host names, foreign pages, tokens, headers, and errors without insides."""

import json

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import create_app
from api.context import AppContext
from api.security import COOKIE, Guard, LastResort
from api.settings import Settings
from api.web.rendering import asset
from tests.unit.api.asking import ask, problem_of
from tests.unit.api.fleet import INGEST_TOKEN

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def closed(context: AppContext) -> ASGIApp:
    """A server that asks for a token."""
    return create_app(context, access_token=TOKEN)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.nip.io:8080", "", "[::1", "a b"])
def test_a_foreign_host_name_is_turned_away(context: AppContext, host: str) -> None:
    answer = ask(create_app(context), "/v1/machines", headers={"host": host})

    assert answer.status_code == 421
    assert "allowed_hosts" in problem_of(answer)["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:8080", "[::1]:8080"])
def test_names_of_this_machine_are_let_in(context: AppContext, host: str) -> None:
    assert ask(create_app(context), "/v1/machines", headers={"host": host}).status_code == 200


def test_allowed_hosts_are_let_in() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("hello")(scope, receive, send)

    guard = Guard(app, Settings(allowed_hosts=("plant.example.org",)), None)

    assert ask(guard, "/", host="plant.example.org").status_code == 200
    assert ask(guard, "/", host="other.example.org").status_code == 421


def test_a_foreign_page_may_not_change_anything(context: AppContext) -> None:
    headers = {"origin": "https://evil.example"}

    answer = ask(create_app(context), "/v1/machines", method="POST", headers=headers)

    assert answer.status_code == 403
    problem_of(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer "},
        {"cookie": f"{COOKIE}={TOKEN}"},
        {"cookie": "a=;;=\x01"},
    ],
)
def test_without_the_token_nothing_is_told(closed: ASGIApp, headers: dict[str, str]) -> None:
    for path in ("/v1/machines", "/v1/nowhere", "/openapi.json", "/v1/evidence/risk/1"):
        answer = ask(closed, path, headers=headers)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        problem_of(answer)


def test_the_token_opens_the_door(closed: ASGIApp) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert ask(closed, "/v1/machines", headers=headers).status_code == 200


def test_signing_in_gives_a_cookie_that_opens_the_door_and_hides_the_token(
    closed: ASGIApp,
) -> None:
    page = ask(closed, "/", headers={"accept": "text/html"})
    signed_in = ask(closed, "/sign-in", method="POST", content=f"access_token={TOKEN}".encode())
    cookie = signed_in.headers["set-cookie"]
    value = signed_in.cookies[COOKIE]

    assert (page.status_code, page.headers["location"]) == (303, "/sign-in")
    assert 'type="password"' in ask(closed, "/sign-in").text
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    opened = ask(closed, "/v1/machines", headers={"cookie": f"{COOKIE}={value}"})
    assert opened.status_code == 200


def test_signing_in_with_a_wrong_token_says_so(closed: ASGIApp) -> None:
    answer = ask(closed, "/sign-in", method="POST", content=b"access_token=<script>")

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "<script>" not in answer.text


def test_a_huge_sign_in_is_cut_off(closed: ASGIApp) -> None:
    content = b"access_token=" + b"x" * 1_000_000

    assert ask(closed, "/sign-in", method="POST", content=content).status_code == 403


def test_health_and_ingest_need_no_access_token(closed: ASGIApp) -> None:
    writing = {"authorization": f"Token {INGEST_TOKEN}"}
    path = "/api/v2/write?bucket=telemetry&precision=ns"

    assert ask(closed, "/healthz").status_code == 200
    assert ask(closed, "/ping").status_code == 204
    assert ask(closed, path, method="POST", headers=writing, content=b"").status_code in {204, 400}
    assert ask(closed, path, method="POST", content=b"").status_code == 401


def test_every_answer_carries_the_policy(context: AppContext) -> None:
    app = create_app(context)

    for path in ("/v1/machines", "/nowhere", "/healthz", "/ping"):
        headers = ask(app, path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_what_nobody_expected_is_answered_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        msg = "a secret inside"
        raise RuntimeError(msg)

    answer = ask(LastResort(app, counted.append), "/v1/machines")

    assert answer.status_code == 500
    assert "secret" not in json.dumps(problem_of(answer))
    assert counted == ["/v1/machines"]
    assert "a secret inside" in caplog.text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_browser_gets_a_page_where_a_program_gets_a_problem(
    context: AppContext, closed: ASGIApp, language: str
) -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        msg = "a secret inside"
        raise RuntimeError(msg)

    app, headers = create_app(context), {"accept": "text/html,*/*", "accept-language": language}

    for answer, status in [
        (ask(app, "/foo", headers=headers), 404),
        (ask(app, "/", headers=headers, host="evil.example"), 421),
        (ask(LastResort(broken), "/", headers=headers), 500),
        (ask(closed, "/sign-in", headers=headers), 200),
    ]:
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["content-language"] == ("en" if language == "en" else "zh-Hans")
        assert "staybolt.css" in answer.text
        assert "secret" not in answer.text
    problem_of(ask(app, "/foo"))


def test_static_files_are_kept_for_good_only_under_the_name_of_their_content(
    context: AppContext,
) -> None:
    app = create_app(context)

    kept = ask(app, asset("staybolt.css")).headers["cache-control"]
    stale = ask(app, "/static/staybolt.css?v=000000000000").headers["cache-control"]
    plain = ask(app, "/static/staybolt.css").headers["cache-control"]
    missing = ask(app, "/static/nothing.css?v=000000000000")

    assert "immutable" in kept
    assert "immutable" not in stale + plain
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/nowhere", 404),
        ("/v1/machines/none", 404),
        ("/v1/customers/none", 404),
        ("/v1/customers/none/risk", 404),
        ("/v1/proposals/77", 404),
        ("/v1/proposals/x", 422),
        ("/v1/machines/none/signals/x/samples", 404),
        ("/v1/machines?limit=0", 422),
        ("/v1/machines?limit=x", 422),
        ("/v1/machines?cursor=none", 400),
        ("/v1/evidence/risk/77", 404),
        ("/v1/evidence/risk/%00", 404),
        ("/v1/evidence/secret/1", 400),
        ("/v1/evidence/samples/nonsense", 400),
        ("/v1/evidence/samples/a:5:5", 400),
        ("/v1/evidence/samples/a:5:99999999999999999999999", 400),
        ("/v1/evidence/risk/1?depth=99", 422),
        ("/v1/evidence/health/99999999999999999999999999", 404),
        ("/v1/metrics/first-time-fix?customer=none", 404),
        ("/v1/metrics/downtime-exposure?window_days=-1", 422),
        ("/v1/customers/none/risk?risk=99999999999999999999999", 422),
    ],
)
def test_bad_questions_get_a_problem_that_helps(
    presses: AppContext, path: str, status: int
) -> None:
    answer = ask(create_app(presses), path)

    assert answer.status_code == status
    assert len(problem_of(answer)["detail"]) > 10


def test_a_wrong_method_gets_a_problem(context: AppContext) -> None:
    answer = ask(create_app(context), "/v1/machines", method="DELETE")

    assert answer.status_code == 405
    problem_of(answer)


def test_a_store_that_is_away_is_said_to_be_away(worn_presses: AppContext) -> None:
    worn_presses.store.close()

    answer = ask(create_app(worn_presses), "/v1/machines/acme-press-1")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    problem_of(answer)


@pytest.mark.parametrize("foreign", ['theme={"a b":1}', "a b", "x=\x01", 'q="'])
def test_a_strange_cookie_of_another_program_on_this_host_does_not_sign_people_out(
    closed: ASGIApp, foreign: str
) -> None:
    form = f"access_token={TOKEN}".encode()
    value = ask(closed, "/sign-in", method="POST", content=form).cookies[COOKIE]

    answer = ask(closed, "/v1/machines", headers={"cookie": f"{foreign}; {COOKIE}={value}"})

    assert answer.status_code == 200
