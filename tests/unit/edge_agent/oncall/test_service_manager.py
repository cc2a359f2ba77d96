"""What systemd is told, over a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.oncall.service_manager import ServiceManager


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        abstract = f"\0staybolt-test-{os.getpid()}"
        listener.bind(str(tmp_path / "n") if request.param == "file" else abstract)
        listener.settimeout(10)
        yield listener


def environment(systemd: socket.socket, **more: str) -> dict[str, str]:
    name = systemd.getsockname()
    text = name if isinstance(name, str) else "@" + name[1:].decode()
    return {"NOTIFY_SOCKET": text, **more}


def test_systemd_hears_ready_reloading_and_stopping(systemd: socket.socket) -> None:
    manager = ServiceManager(environment(systemd))

    manager.ready()
    manager.reloading()
    manager.stopping()

    assert systemd.recv(100) == b"READY=1"
    assert systemd.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert systemd.recv(100) == b"STOPPING=1"


def test_a_loop_that_runs_feeds_the_watchdog_and_one_that_hangs_does_not(
    systemd: socket.socket,
) -> None:
    manager = ServiceManager(environment(systemd, WATCHDOG_USEC="60000"))

    async def feed_for(duration_s: float) -> None:
        feeding = asyncio.create_task(manager.feed_watchdog())
        await asyncio.sleep(duration_s)
        feeding.cancel()

    asyncio.run(feed_for(0.2))
    fed = [systemd.recv(100) for _ in range(3)]

    assert fed == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "nonsense"},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "x"},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "60000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_systemd_nothing_is_told_and_nothing_fails(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)

    manager.ready()
    manager.stopping()
    asyncio.run(asyncio.wait_for(manager.feed_watchdog(), 5))
