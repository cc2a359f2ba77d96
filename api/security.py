"""The door: who may ask, from where, and what a browser may do with the answer.

Pure ASGI, outside of everything else. Without an access token the server listens on loopback
only, and then the `Host` header must name this machine: a foreign page that makes its own name
point at 127.0.0.1 (DNS rebinding) is turned away. The ingest paths have tokens of their own.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problem import problem
from api.settings import Settings
from api.web.doorway import problem_page, sign_in_page, wants_page

logger = logging.getLogger(__name__)

INGEST_PATHS: Final = frozenset({"/api/v2/write", "/write", "/ping", "/health"})
"""Answered by the ingest receiver, which checks tokens of its own."""

OPEN_PATHS: Final = INGEST_PATHS | {"/healthz"}
"""Need no access token."""

STATIC_PREFIX: Final = "/static/"
"""Style and scripts hold no data: open to all. Browsers keep them, for good where the address
names their content, else for an hour."""

STATIC_CACHE: Final = "public, max-age=3600"
SIGN_IN_PATH: Final = "/sign-in"
COOKIE: Final = "staybolt_access"
MAX_SIGN_IN_BYTES: Final = 4096
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_SECURITY_POLICY: Final = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))

SECURITY_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Lets in who may, and puts the security headers on every answer.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    settings : Settings
        Which host names are ours.
    access_token : str or None
        What people and programs must show; None asks for nothing.
    """

    def __init__(self, app: ASGIApp, settings: Settings, access_token: str | None) -> None:
        self._app = app
        self._token = access_token
        self._cookie = None if access_token is None else _cookie_value(access_token)
        # With a token, a foreign name gets a foreign page no further: it lacks the cookie. Any
        # name will then do unless the settings list the right ones.
        self._hosts = (
            None
            if access_token is not None and not settings.allowed_hosts
            else LOOPBACK_NAMES | {name.lower() for name in settings.allowed_hosts}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one connection, as ASGI asks.

        Parameters
        ----------
        scope, receive, send
            See the ASGI specification.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered[name] = value
                is_static = scope["path"].startswith(STATIC_PREFIX)
                answered.setdefault("cache-control", STATIC_CACHE if is_static else "no-store")
            await send(message)

        refusal = self._refuse_foreign(scope, headers)
        if refusal is None and scope["path"] == SIGN_IN_PATH:
            refusal = await self._sign_in(scope, receive)
        if refusal is None and not self._may_pass(scope, headers):
            refusal = _ask_for_token(headers)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _refuse_foreign(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._hosts is not None and _host_name(host) not in self._hosts:
            detail = (
                f"this server does not go by the name {host!r}; use localhost, or add the name to "
                "allowed_hosts in the server's settings"
            )
            return _refusal(scope, headers, 421, "Wrong host", detail)
        origin = headers.get("origin")
        if (
            scope["method"] not in SAFE_METHODS
            and scope["path"] not in INGEST_PATHS
            and origin is not None
            and urlsplit(origin).netloc != host
        ):
            detail = f"a page of {origin} may not change anything here; use a page of this server"
            return _refusal(scope, headers, 403, "Foreign page", detail)
        return None

    def _may_pass(self, scope: Scope, headers: Headers) -> bool:
        if self._token is None or self._cookie is None:
            return True
        if scope["path"] in OPEN_PATHS or scope["path"].startswith(STATIC_PREFIX):
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _is_same(shown.strip(), self._token):
            return True
        return _is_same(_read_cookie(headers), self._cookie)

    async def _sign_in(self, scope: Scope, receive: Receive) -> Response:
        if self._token is None or self._cookie is None:
            return RedirectResponse("/", 303)
        if scope["method"] != "POST":
            return sign_in_page(Request(scope), is_refused=False)
        form = parse_qs((await _read_body(receive, MAX_SIGN_IN_BYTES)).decode("utf-8", "replace"))
        if not _is_same(form.get("access_token", [""])[0].strip(), self._token):
            logger.warning("a sign-in with a wrong access token was refused")
            return sign_in_page(Request(scope), is_refused=True)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            self._cookie,
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
            path="/",
        )
        return answer


def split_ingest(app: ASGIApp, receiver: ASGIApp) -> ASGIApp:
    """Put the ingest receiver beside the API, on the same host and port.

    Parameters
    ----------
    app : ASGI application
        Gets everything else.
    receiver : ASGI application
        Gets `INGEST_PATHS`.

    Returns
    -------
    ASGI application
        Both.
    """

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        is_ingest = scope["type"] == "http" and scope["path"] in INGEST_PATHS
        await (receiver if is_ingest else app)(scope, receive, send)

    return choose


class LastResort:
    """Turns what nobody expected into an answer without a traceback, and logs it once.

    Parameters
    ----------
    app : ASGI application
        What is watched.
    count : callable
        Told the path of each failure.
    """

    def __init__(self, app: ASGIApp, count: Callable[[str], None] = lambda _path: None) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one connection, as ASGI asks.

        Parameters
        ----------
        scope, receive, send
            See the ASGI specification.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            self._count(scope["path"])
            if has_begun:
                raise
            await _crash_answer(scope)(scope, receive, send)


def _crash_answer(scope: Scope) -> Response:
    if wants_page(Headers(scope=scope)):
        return problem_page(Request(scope), 500, "")
    detail = "the server met an error of its own; its log says more, the data are safe"
    return problem(500, "Server error", detail)


def _refusal(scope: Scope, headers: Headers, status: int, title: str, detail: str) -> Response:
    if wants_page(headers):
        return problem_page(Request(scope), status, detail)
    return problem(status, title, detail)


def _is_same(shown: str, expected: str) -> bool:
    return hmac.compare_digest(shown.encode(), expected.encode())


def _cookie_value(access_token: str) -> str:
    # The cookie proves the token without holding it.
    purpose = b"staybolt browser session 1"
    return hmac.new(access_token.encode(), purpose, hashlib.sha256).hexdigest()


def _read_cookie(headers: Mapping[str, str]) -> str:
    # As browsers do: the standard library's own reading gives up at the first strange cookie,
    # and every program on this host may have set some.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


async def _read_body(receive: Receive, limit_bytes: int) -> bytes:
    body = b""
    while len(body) <= limit_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body[:limit_bytes]


def _ask_for_token(headers: Headers) -> Response:
    if wants_page(headers):
        return RedirectResponse(SIGN_IN_PATH, 303)
    detail = (
        "this server asks for its access token; send `Authorization: Bearer <token>`, "
        f"or sign in with a browser at {SIGN_IN_PATH}"
    )
    return problem(401, "Access token needed", detail, headers={"www-authenticate": "Bearer"})
