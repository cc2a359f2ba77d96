"""Asks an ASGI application as a client would, without a network."""

import asyncio
from typing import Any

import httpx
from starlette.types import ASGIApp

from api.app import create_app
from api.context import AppContext


def ask(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
    host: str = "localhost:8080",
) -> httpx.Response:
    """One request, one answer."""

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(once())


def get(context: AppContext, path: str) -> Any:  # noqa: ANN401  # JSON
    """Body of a good answer."""
    answer = ask(create_app(context), path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """Body of an error, which must be of our one shape and hold no traceback."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert "Traceback" not in answer.text
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == answer.status_code
    return body
