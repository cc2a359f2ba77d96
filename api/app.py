"""The composition root of the server: every router, one shape of error, and the door in front."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

import api.evidence.endpoints
import api.health.endpoints
import api.planning.endpoints
import api.retention.endpoints
from api.context import AppContext, context_of
from api.parameters import Context
from api.problem import ApiError, problem
from api.registry.errors import RegistryUnavailableError
from api.security import Guard, LastResort, split_ingest
from api.shapes import Shape
from api.web import pages
from api.web.addresses import HashedFiles
from api.web.doorway import problem_page, wants_page
from api.worker import Worker
from ingest.errors import StoreUnavailableError
from ingest.receiver import make_receiver

DESCRIPTION: Final = (
    "Condition of machines, proposals to service them, and what both do to the risk of losing the "
    "customers who depend on them. Quantities end in their unit, estimates stand beside the ends "
    "of their interval, and every number can be followed to what it came from."
)


class ServerHealth(Shape):
    """How the server is doing."""

    status: str
    """``ok``, or ``degraded`` while a step of the worker fails."""
    n_samples_stored: int
    n_rounds: int
    last_round_at: datetime | None
    last_round_s: float | None
    failing_steps: list[str]
    n_errors: dict[str, int]


def build_api() -> FastAPI:
    """Put all routers together, without any data behind them.

    Returns
    -------
    FastAPI
        Needs ``app.state.context`` and ``app.state.worker`` before it can answer.
    """
    app = FastAPI(
        title="Staybolt",
        version="1",
        description=DESCRIPTION,
        # Both pages load scripts from elsewhere, which our policy forbids.
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(LastResort)],
    )
    for domain in (api.health, api.planning, api.retention, api.evidence):
        app.include_router(domain.endpoints.router)
    app.add_api_route(
        "/healthz", read_server_health, methods=["GET"], summary="How the server is doing",
        tags=["server"],
    )  # fmt: skip
    app.add_api_route(
        "/v1/events", follow_events, methods=["GET"], summary="Live changes, as server-sent events",
        tags=["server"], response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )  # fmt: skip
    app.include_router(pages.router)
    app.mount("/static", HashedFiles(), name="static")
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return app


def create_app(
    context: AppContext, worker: Worker | None = None, *, access_token: str | None = None
) -> ASGIApp:
    """Make the whole server: API, pages, and the ingest receiver on the same port.

    Parameters
    ----------
    context : AppContext
        Stores and settings.
    worker : Worker, optional
        Whose state ``/healthz`` tells; it is not started here.
    access_token : str, optional
        What people and programs must show; None asks for nothing.

    Returns
    -------
    ASGI application
        For uvicorn.
    """
    app = build_api()
    app.state.context = context
    app.state.worker = worker
    both = split_ingest(app, make_receiver(context.ingest))
    return Guard(both, context.settings, access_token)


def openapi_document() -> dict[str, Any]:
    """Describe the API as it is served at ``/openapi.json``.

    Returns
    -------
    dict
        OpenAPI 3.1.
    """
    return build_api().openapi()


def read_server_health(request: Request) -> ServerHealth:
    """Answers without a token, for whoever watches over the server."""
    worker: Worker | None = request.app.state.worker
    done = None if worker is None else worker.status.last_round
    return ServerHealth(
        status="degraded" if done is not None and done.errors else "ok",
        n_samples_stored=context_of(request).arrivals.n_samples,
        n_rounds=0 if worker is None else worker.status.n_rounds,
        last_round_at=None if worker is None else worker.status.last_at,
        last_round_s=None if done is None else done.duration_s,
        failing_steps=[] if done is None else list(done.errors),
        n_errors={} if worker is None else dict(worker.status.n_errors),
    )


async def follow_events(context: Context, request: Request) -> StreamingResponse:
    """Events samples, health, alarm, proposal, risk, update; reset asks to read everything again.

    A reader that was cut off sends `Last-Event-ID` and misses nothing that is still kept.
    """
    events = context.hub.stream(request.headers.get("last-event-id"))
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


def _api_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return problem(error.status, error.title, str(error))


def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail, headers = str(error.detail), dict(error.headers or {})
    is_nowhere = error.status_code == 404
    if wants_page(request.headers):
        said = f"there is nothing at {request.url.path}" if is_nowhere else detail
        answer: Response = problem_page(request, error.status_code, said)
        answer.headers.update(headers)
        return answer
    if is_nowhere:
        detail = "there is nothing at this address; /openapi.json lists what there is"
    return problem(error.status_code, str(error.detail), detail, headers=headers)


def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors()
    ]
    return problem(
        422, "Parameters can't be used", "; ".join(faults) + "; mend them and ask again",
        faults=faults,
    )  # fmt: skip


def _unavailable(request: Request, error: Exception) -> Response:
    detail = f"{error}; the same request may succeed later"
    if wants_page(request.headers):
        return problem_page(request, 503, str(error))
    return problem(503, "A store can't be reached", detail, headers={"retry-after": "5"})


_ANSWERS: Final[dict[type[Exception], Callable[[Request, Exception], Response]]] = {
    ApiError: _api_error,
    HTTPException: _http_error,
    RequestValidationError: _invalid,
    StoreUnavailableError: _unavailable,
    RegistryUnavailableError: _unavailable,
}
