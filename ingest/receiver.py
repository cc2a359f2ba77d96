"""InfluxDB's write API over HTTP, so that our agent, Telegraf or any client library can send.

Answers ``/api/v2/write``, ``/write``, ``/ping`` and ``/health``. It knows HTTP and the shapes of
InfluxDB's answers; what is done with a body stands in `ingest.service`. A 204 is given only
after the store's own durable answer. Pure ASGI, so that it can stand alone or inside another
application.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import anyio
import anyio.to_thread

from ingest.answers import SERVER_VERSION, Answer
from ingest.bodies import BodyTooLargeError, CompressionError, decompress
from ingest.credentials import token_in
from ingest.errors import QuarantineError, StoreUnavailableError
from ingest.service import IngestOutcome, IngestService
from ingest.telemetry.line_protocol import Precision

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ReceiverApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 10_000_000
"""About 90,000 samples; senders split what is larger. [bytes]"""

# Times the largest body, this is all the memory that senders can make us hold at once.
_MAX_REQUESTS: Final = 8

# Stores write one batch after another; a few threads let one write while others decode. A body
# being decoded takes about ten times its size.
_N_THREADS: Final = 3

# A body of the largest size needs less than this at 10 Mbit/s.
_BODY_TIMEOUT_S: Final = 30.0

# A sender that is told 413 while it still sends would see a broken connection instead; so much of
# what is too large is read, and thrown away, for the answer to get through.
_DRAINED_BODIES: Final = 4
_DRAIN_TIMEOUT_S: Final = 10.0

_RETRY_AFTER_S: Final = 5

# Lines that an answer names at most: as many as a body of a megabyte holds.
_MAX_NAMED: Final = 10_000

_WRITE_PATHS: Final = frozenset({"/api/v2/write", "/write"})

_PRECISIONS: Final[dict[str, Precision]] = {
    "n": "ns",
    "ns": "ns",
    "u": "us",
    "µ": "us",
    "us": "us",
    "ms": "ms",
    "s": "s",
    "m": "m",
    "h": "h",
}


def make_receiver(service: IngestService, *, max_body_bytes: int = MAX_BODY_BYTES) -> ReceiverApp:
    """Make the receiver as an ASGI application.

    Parameters
    ----------
    service : IngestService
        What takes the bodies.
    max_body_bytes : int
        Largest body, as sent and also after decompression; larger ones get a 413. [bytes]

    Returns
    -------
    ASGI application
        To be served alone or mounted in another.
    """
    return _Receiver(service, max_body_bytes)


class _Gone(Exception):  # noqa: N818 - the sender hung up, there is nobody to answer
    pass


class _Request:
    """One HTTP request, its body still to be read."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        self.headers = {
            name.decode("latin-1").lower(): text.decode("latin-1")
            for name, text in scope["headers"]
        }
        self.is_read = False
        self._receive = receive

    async def part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        self.is_read = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def drain(self, max_bytes: int) -> None:
        """Read on after a refusal, so that the sender gets the answer and not a reset."""
        if "expect" in self.headers:
            return
        with anyio.move_on_after(_DRAIN_TIMEOUT_S), contextlib.suppress(_Gone):
            while not self.is_read and max_bytes > 0:
                max_bytes -= len(await self.part())


class _Receiver:
    def __init__(self, service: IngestService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes
        self._n_requests = 0
        self._threads: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = _Request(scope, receive)
        try:
            await self._answer(request)
        except Answer as answer:
            await request.drain(_DRAINED_BODIES * self._max_body_bytes)
            body, headers = answer.parts("v1" if request.path == "/write" else "v2")
            start = {"type": "http.response.start", "status": answer.status, "headers": headers}
            await send(start)
            is_head = request.method == "HEAD"
            await send({"type": "http.response.body", "body": b"" if is_head else body})
        except _Gone:
            logger.info("a sender hung up before its request was complete")

    async def _answer(self, request: "_Request") -> None:
        path, method = request.path, request.method
        if path in _WRITE_PATHS:
            _require_method(method, "POST")
            await self._write(request)
        elif path == "/ping":
            _require_method(method, "GET", "HEAD")
            raise Answer(204)
        elif path == "/health":
            _require_method(method, "GET", "HEAD")
            raise Answer(200, document=_HEALTH)
        raise Answer(404, f"{path}: nothing is here; write to /api/v2/write or /write")

    async def _write(self, request: "_Request") -> None:
        device = self._device_of(request)
        if request.path == "/write" and "db" not in request.query:
            raise Answer(400, "database is required: add db=telemetry to the address")
        precision = _precision_in(request.query)
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding not in {"identity", "gzip"}:
            raise Answer(415, f"content encoding {encoding} is not known; send gzip or identity")
        if self._n_requests >= _MAX_REQUESTS:
            raise Answer(503, "too many requests at once; try again later", headers=_RETRY_LATER)
        self._n_requests += 1
        try:
            body = await self._body(request)
            outcome = await self._ingest(body, encoding == "gzip", precision, device)
        finally:
            self._n_requests -= 1
        raise _answer_for(outcome)

    def _device_of(self, request: "_Request") -> str:
        token = token_in(request.headers, request.query if request.path == "/write" else {})
        device = None if token is None else self._service.device_of(token)
        if device is None:
            what = "no token was shown" if token is None else "this token is not known here"
            raise Answer(
                401,
                f"unauthorized access: {what}; send the header 'Authorization: Token …' with a "
                "token of the token file",
                headers={"WWW-Authenticate": 'Token realm="staybolt"'},
            )
        return device

    async def _body(self, request: "_Request") -> bytes:
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        n_bytes = 0
        try:
            with anyio.fail_after(_BODY_TIMEOUT_S):
                while not request.is_read:
                    parts.append(await request.part())
                    n_bytes += len(parts[-1])
                    if n_bytes > self._max_body_bytes:
                        raise self._too_large()
        except TimeoutError as error:
            raise Answer(
                408, f"the body was not complete after {_BODY_TIMEOUT_S:.0f} s; send smaller ones"
            ) from error
        return b"".join(parts)

    async def _ingest(
        self, body: bytes, is_gzip: bool, precision: Precision, device: str
    ) -> IngestOutcome:
        def work() -> IngestOutcome:
            plain = decompress(body, self._max_body_bytes) if is_gzip else body
            return self._service.ingest(plain, precision=precision, device=device)

        if self._threads is None:
            self._threads = anyio.CapacityLimiter(_N_THREADS)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        except BodyTooLargeError as error:
            raise self._too_large() from error
        except CompressionError as error:
            raise Answer(400, f"{error}; send the same lines again") from error
        except (StoreUnavailableError, QuarantineError) as error:
            # The cause names files and addresses of this machine: it is for our log.
            logger.warning("a write is put off: %s", error)
            raise Answer(
                503,
                "the store did not take it now; nothing is lost if you send it again later",
                headers=_RETRY_LATER,
            ) from error

    def _too_large(self) -> Answer:
        return Answer(
            413, f"the body is larger than {self._max_body_bytes} bytes; send fewer lines at once"
        )


_RETRY_LATER: Final = {"Retry-After": str(_RETRY_AFTER_S)}


_HEALTH: Final = {
    "name": "staybolt-ingest",
    "message": "ready for writes",
    "status": "pass",
    "checks": [],
    "version": SERVER_VERSION,
}


async def _live(receive: Receive, send: Send) -> None:
    """Say yes to a server that asks whether we are ready to start and to stop."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _require_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Answer(
            405,
            f"{method} is not possible here; use {' or '.join(allowed)}",
            headers={"Allow": ", ".join(allowed)},
        )


def _precision_in(query: dict[str, list[str]]) -> Precision:
    name = query.get("precision", ["ns"])[-1]
    if name not in _PRECISIONS:
        raise Answer(
            400, f"precision {name[:20]} is not known; use one of {', '.join(_PRECISIONS)}"
        )
    return _PRECISIONS[name]


def _answer_for(outcome: IngestOutcome) -> Answer:
    if not outcome.set_aside:
        return Answer(204)
    first = outcome.set_aside[0]
    return Answer(
        400,
        f"partial write: line {first.line_number}: {first.reason} ({first.remedy}); "
        f"dropped={len(outcome.set_aside)}",
        more={
            "line": first.line_number,
            # Together with the message's count, by which a sender knows whether this is all.
            "set_aside": [
                {"line": each.line_number, "reason": each.reason}
                for each in outcome.set_aside[:_MAX_NAMED]
            ],
            "is_rest_stored": True,
        },
    )
