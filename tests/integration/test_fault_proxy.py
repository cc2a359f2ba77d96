"""Faults of the network as a client sees them, through a real proxy to a real server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from simulators.faults.proxy import Proxy, ProxyState
from simulators.loopback import LOOPBACK, free_port

pytestmark = pytest.mark.timeout(60)


@contextlib.asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[Proxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], seed=1)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
        server.close()
        # The echo's end of each connection needs a turn of the loop to notice.
        await asyncio.sleep(0.05)


async def ask(proxy: Proxy, data: bytes = b"hello") -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.readexactly(len(data)), 5.0)
    finally:
        await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def test_bytes_pass_whole_and_in_slices() -> None:
    async def play() -> None:
        async with echo_behind_proxy() as proxy:
            data = bytes(range(256)) * 8
            assert await ask(proxy, data) == data
            await proxy.set(ProxyState("slice", piece_bytes=3))
            assert await ask(proxy, data) == data
            assert proxy.counts.n_to_client_bytes == 2 * len(data)

    asyncio.run(play())


def test_half_open_is_silence_and_heals_without_loss() -> None:
    async def play() -> None:
        async with echo_behind_proxy() as proxy:
            reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            await proxy.set(ProxyState("half-open"))
            writer.write(b"two")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(1), 0.3)
            await proxy.set(ProxyState())
            assert await asyncio.wait_for(reader.readexactly(3), 5.0) == b"two"
            await hang_up(writer)

    asyncio.run(play())


def test_refused_reset_and_back_on_the_same_port() -> None:
    async def play() -> None:
        async with echo_behind_proxy() as proxy:
            reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
            writer.write(b"x")
            await reader.readexactly(1)
            await proxy.set(ProxyState("reset"))
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.readexactly(1), 5.0)
            await hang_up(writer)
            await proxy.set(ProxyState("refuse"))
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(LOOPBACK, proxy.port)
            await proxy.set(ProxyState())
            assert await ask(proxy) == b"hello"

    asyncio.run(play())


def test_flipped_bits_are_counted_exactly() -> None:
    async def play() -> None:
        async with echo_behind_proxy() as proxy:
            await proxy.set(ProxyState("flip", every_bytes=50))
            sent = bytes(20_000)
            came = await ask(proxy, sent)
            n_bits = sum(byte.bit_count() for byte in came)
            assert n_bits == proxy.counts.n_flipped_bits > 200

    asyncio.run(play())


def test_a_slow_link_keeps_its_pace() -> None:
    async def play() -> float:
        async with echo_behind_proxy() as proxy:
            await proxy.set(ProxyState("slow", bytes_per_s=20_000))
            began_s = time.monotonic()
            await ask(proxy, bytes(10_000))
            return time.monotonic() - began_s

    assert 0.9 < asyncio.run(play()) < 4.0


def test_nobody_behind_the_door_is_a_server_that_hangs_up() -> None:
    async def play() -> None:
        proxy = Proxy(free_port())
        await proxy.start()
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        await hang_up(writer)
        await proxy.stop()

    asyncio.run(play())
