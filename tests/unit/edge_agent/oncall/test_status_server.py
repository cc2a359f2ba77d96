"""Who asks gets an answer; who asks badly can't hurt the agent."""

import asyncio
import contextlib
import json
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge_agent.errors import EdgeError
from edge_agent.oncall import status_server
from edge_agent.oncall.facts import Facts
from edge_agent.oncall.socket_file import NotRunningError, ask
from edge_agent.oncall.status_server import MAX_HEAD_BYTES, MAX_OPEN, MAX_PER_S, StatusServer
from edge_agent.reload import ReloadOutcome
from tests.unit.edge_agent.oncall.facts_for_tests import facts

Test = Callable[[StatusServer, int], Awaitable[None]]


async def well() -> Facts:
    return facts()


def serving(
    test: Test, look: Callable[[], Awaitable[Facts]] = well, path: Path | None = None
) -> None:
    async def main() -> None:
        server = StatusServer(look)
        port = await server.listen_on("127.0.0.1", 0)
        if path is not None:
            await server.listen_at(path)
        try:
            async with asyncio.timeout(60):
                await test(server, port)
        finally:
            await server.close()

    asyncio.run(main())


async def get(port: int, path: str, host: str = "127.0.0.1", method: str = "GET") -> bytes:
    return await say(port, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


async def say(port: int, request: bytes) -> bytes:
    """Everything that is answered until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - what it waits for says no word
            await asyncio.sleep(0.01)


def test_a_well_agent_answers_200_and_an_unwell_one_503_with_its_reasons() -> None:
    async def unwell() -> Facts:
        return facts(reload=ReloadOutcome("refused", 1, "edge.toml, site: missing; write it"))

    async def ok(_server: StatusServer, port: int) -> None:
        answer = await get(port, "/healthz")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nok\n")

    async def not_ok(_server: StatusServer, port: int) -> None:
        answer = await get(port, "/healthz")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"reload_refused: " in answer
        assert b"edge.toml, site: missing; write it\n" in answer

    serving(ok)
    serving(not_ok, unwell)


def test_metrics_and_status_have_their_media_types_and_head_has_no_body() -> None:
    async def test(_server: StatusServer, port: int) -> None:
        metrics = await get(port, "/metrics?x=1")
        assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in metrics
        assert b"\nstaybolt_edge_healthy 1\n" in metrics
        status = await get(port, "/status", host="localhost:9640")
        assert json.loads(status.partition(b"\r\n\r\n")[2])["agent"] == "edge-1"
        head = await get(port, "/status", method="HEAD")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"\r\n\r\n")

    serving(test)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET /metrics HTTP/1.1\r\nHost: rebound.example.com\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\nHost: [:::\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"421"),
        (b"\xff\xfe\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
    ],
)
def test_what_is_not_asked_rightly_is_refused(request_: bytes, status: bytes) -> None:
    async def test(_server: StatusServer, port: int) -> None:
        assert (await say(port, request_)).startswith(b"HTTP/1.1 " + status)

    serving(test)


def test_too_long_too_slow_and_too_many_requests_are_closed_and_others_still_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status_server, "DEADLINE_S", 0.5)

    async def test(_server: StatusServer, port: int) -> None:
        assert await say(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 3 * MAX_HEAD_BYTES) == b""
        # As many as may be open, each of which never ends its request.
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_OPEN)]
        for _, writer in slow:
            writer.write(b"GET /healthz HTT")
        await asyncio.sleep(0.1)
        assert await get(port, "/healthz") == b""
        for reader, writer in slow:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert (await get(port, "/healthz")).startswith(b"HTTP/1.1 200")

    serving(test)


def test_a_flood_of_requests_costs_little_and_each_page_is_made_few_times() -> None:
    n_looks = 0

    async def counted() -> Facts:
        nonlocal n_looks
        n_looks += 1
        return facts()

    async def test(_server: StatusServer, port: int) -> None:
        answered, began_s = 0, time.monotonic()
        for _ in range(4):
            answers = await asyncio.gather(*(get(port, "/metrics") for _ in range(50)))
            answered += sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        lasted_s = time.monotonic() - began_s
        assert 0 < answered <= MAX_PER_S * (lasted_s + 2)
        assert n_looks <= lasted_s / status_server.PAGE_LASTS_S + 1

    serving(test, counted)


def test_an_answer_that_nobody_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_server, "DEADLINE_S", 0.5)
    large = facts(place="x" * 20_000_000)

    async def look() -> Facts:
        return large

    async def test(server: StatusServer, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed has it on reads
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: bool(server._handling))
        await until(lambda: not server._handling)
        writer.close()

    serving(test, look)


def test_the_socket_file_is_for_its_user_alone_and_answers_without_a_host(tmp_path: Path) -> None:
    path = tmp_path / "status.sock"
    path.write_text("left behind by an agent that was killed")

    async def test(_server: StatusServer, _port: int) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        document = await asyncio.to_thread(ask, path)
        assert document["agent"] == "edge-1"
        assert document["is_healthy"] is True

    serving(test, path=path)

    assert not path.exists()


def test_a_socket_file_may_lie_deeper_than_the_kernel_takes(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)

    async def test(_server: StatusServer, _port: int) -> None:
        assert (await asyncio.to_thread(ask, folder / "status.sock"))["agent"] == "edge-1"

    serving(test, path=folder / "status.sock")


def test_an_agent_that_is_not_running_or_hangs_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.oncall.socket_file.ASK_TIMEOUT_S", 0.3)
    path = tmp_path / "status.sock"
    with pytest.raises(NotRunningError, match="systemctl start staybolt-edge"):
        ask(path)

    async def hang() -> Facts:
        await asyncio.sleep(60)
        raise AssertionError

    async def test(_server: StatusServer, _port: int) -> None:
        with pytest.raises(EdgeError, match="it hangs or the machine is overloaded"):
            await asyncio.to_thread(ask, path)

    serving(test, hang, path)


def test_the_server_leaves_no_descriptor_open(tmp_path: Path) -> None:
    def n_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def test(_server: StatusServer, port: int) -> None:
        before = n_open()
        for _ in range(30):
            await get(port, "/healthz")
        await until(lambda: n_open() <= before)

    serving(test, path=tmp_path / "s")
