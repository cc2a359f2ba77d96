"""Sources are added and removed while the agent runs; what they delivered is durable."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.errors import SourceError
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake
from edge_agent.runtime import Runtime
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink
from edge_agent.watches import Trouble
from ingest.telemetry import Series, TelemetryBatch
from tests.integration.edge_fixtures import SITE, StandInStore


class Counting:
    """Delivers one number after the other, as fast as they become durable."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.n_said = 0
        self.handed_over: list[asyncio.Future[None]] = []

    async def serve(self, intake: Intake) -> None:
        intake.heard(self.name)
        series = [Series(SITE, self.name, "vibration_mm_s")]
        while True:
            self.n_said += 1
            # Not awaited: what is on its way when the source is removed must not be lost.
            batch = TelemetryBatch.of(series, [0], [self.n_said], [1.0], [0])
            self.handed_over.append(intake.submit(batch))
            await asyncio.sleep(0.002)


class Refusing:
    name = "refusing"

    async def serve(self, intake: Intake) -> None:
        msg = "refusing: no route to host"
        raise SourceError(msg)


@pytest.fixture
def store() -> Iterator[StandInStore]:
    store = StandInStore()
    yield store
    store.close()


async def until(what: str, is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():  # noqa: ASYNC110 - what it waits for happens in other threads
            await asyncio.sleep(0.01)


def test_a_source_comes_and_goes_and_the_other_misses_nothing(
    tmp_path: Path, store: StandInStore
) -> None:
    (tmp_path / "token").write_text("t")
    uplink = UplinkSettings(url=store.url, token_file=tmp_path / "token")
    stays, goes = Counting("stays"), Counting("goes")

    async def main() -> None:
        runtime = Runtime(
            AgentCore(group_commit_s=0.05, max_body_bytes=100_000, retry_max_s=0.2),
            Outbox(tmp_path / "outbox.sqlite", 10**6),
            lambda _lane: HttpUplink(uplink),
            [stays],
            Counters(),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        runtime.serving.add(goes)
        runtime.serving.add(Refusing())
        await until("delivered", lambda: goes.n_said > 20)
        await until("refused", lambda: runtime.serving.watches["refusing"].condition == "lost")
        assert runtime.serving.watches["refusing"].reason == "refusing: no route to host"
        n_stored = runtime.counters.stored
        await runtime.serving.remove("goes")
        await runtime.serving.remove("refusing")
        assert runtime.counters.stored > n_stored
        assert set(runtime.serving.watches) == {"stays"}
        n_said = stays.n_said
        await until("more", lambda: stays.n_said > n_said + 20)
        stop.set()
        await running

    asyncio.run(main())

    with Outbox(tmp_path / "outbox.sqlite", 10**6) as outbox:
        waiting = b"".join(record.body for record in outbox.peek_oldest(1000)).decode()
    for source in (stays, goes):
        arrived = {time for machine, _, time in store.distinct() if machine == source.name}
        waits = {
            int(line.rsplit(" ", 1)[1])
            for line in waiting.splitlines()
            if f"machine={source.name}," in line
        }
        assert arrived | waits == set(range(1, source.n_said + 1)), source.name


def test_trouble_is_news_when_it_begins_changes_and_ends() -> None:
    now_s = [100.0]
    trouble = Trouble(lambda: now_s[0])

    assert not trouble.end()
    assert trouble.begin("no route")
    now_s[0] = 130.0
    assert not trouble.begin("no route")
    assert trouble.begin("refused")
    assert trouble.lasted_s == 30.0
    assert trouble.end()
    assert trouble.lasted_s == 0.0
