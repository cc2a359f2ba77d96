"""Changed settings are taken while the agent runs; what did not change is not touched."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.errors import SettingsError
from edge_agent.messages import NotAllowed
from edge_agent.outbox import Outbox
from edge_agent.ports import Intake, Source
from edge_agent.reload import Reloader
from edge_agent.runtime import Runtime
from edge_agent.settings import Settings
from edge_agent.settings_changes import NEEDS_RESTART, TAKEN_LIVE, compare, sources_of
from edge_agent.settings_file import SAMPLE_CONFIG, load_settings

SAMPLE = SAMPLE_CONFIG.read_text().replace("/var/lib/staybolt-edge", "state")
BROKER = """
[[mqtt]]
name = "hall-3"
host = "127.0.0.1"
[[mqtt.topics]]
topic = "plant/{machine}/telemetry"
"""


class NoUplink:
    place = "nowhere"

    def send(self, *_: object) -> NotAllowed:
        return NotAllowed("test")

    def close(self) -> None:
        pass


class Recording:
    """A source that notes what is done to it."""

    def __init__(self, name: str, done: list[str], *, takes: bool | Exception) -> None:
        self.name = name
        self._done = done
        self._takes = takes

    async def serve(self, intake: Intake) -> None:
        self._done.append(f"connect {self.name}")
        try:
            await asyncio.Event().wait()
        finally:
            self._done.append(f"end {self.name}")

    async def apply(self, settings: object) -> bool:
        self._done.append(f"apply {self.name}")
        if isinstance(self._takes, Exception):
            raise self._takes
        return self._takes


Act = Callable[[Reloader, list[str]], Awaitable[None]]


def running(
    folder: Path,
    act: Act,
    *,
    takes: bool | Exception = True,
    prepare: Callable[[Settings], object] = id,
) -> tuple[list[str], Counters]:
    """Run an agent of recording sources with the sample's settings while something is done."""
    path = folder / "edge.toml"
    path.write_text(SAMPLE)
    settings, done, counters = load_settings(path), list[str](), Counters()

    def make(_settings: Settings, name: str) -> Source:
        return Recording(name, done, takes=takes)

    async def main() -> None:
        runtime = Runtime(
            AgentCore(group_commit_s=0.01, max_body_bytes=100_000, retry_max_s=0.2),
            Outbox(folder / "outbox.sqlite", 10**6),
            lambda _lane: NoUplink(),
            [make(settings, name) for name in sources_of(settings)],
            counters,
        )
        reloader = Reloader(path, settings, runtime.serving, make, prepare, counters)
        stop = asyncio.Event()
        agent = asyncio.create_task(runtime.run(stop))
        reloading = asyncio.create_task(reloader.run())
        async with asyncio.timeout(20):
            while len(done) < 2:  # noqa: ASYNC110 - until both sources are connected
                await asyncio.sleep(0.01)
            done.clear()
            await act(reloader, done)
        reloading.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        acted = list(done)
        stop.set()
        await agent
        done[:] = acted

    asyncio.run(main())
    return done, counters


def rewrite(folder: Path, right: str, wrong: str, more: str = "") -> None:
    assert right in SAMPLE
    (folder / "edge.toml").write_text(SAMPLE.replace(right, wrong, 1) + more)


def test_only_the_source_that_changed_is_told_and_stays_connected(tmp_path: Path) -> None:
    async def change(reloader: Reloader, _done: list[str]) -> None:
        rewrite(tmp_path, 'machine = "press-04"', 'machine = "press-05"')
        await reloader.reload()
        assert reloader.settings.opcua[0].nodes[0].machine == "press-05"
        assert reloader.last.outcome == "taken"

    done, counters = running(tmp_path, change)

    assert done == ["apply opcua hall-1"]
    assert (counters.reloads, counters.reloads_refused) == (1, 0)


@pytest.mark.parametrize("takes", [False, RuntimeError("a bug")])
def test_a_source_that_cannot_take_its_change_is_connected_anew(
    tmp_path: Path, *, takes: bool | Exception
) -> None:
    async def change(reloader: Reloader, done: list[str]) -> None:
        rewrite(tmp_path, 'topic = "plant/mill-7', 'topic = "plant/mill-8')
        await reloader.reload()
        while "connect mqtt hall-2" not in done:  # noqa: ASYNC110 - it is connected by a task
            await asyncio.sleep(0.01)

    done, counters = running(tmp_path, change, takes=takes)

    assert done == ["apply mqtt hall-2", "end mqtt hall-2", "connect mqtt hall-2"]
    assert counters.faults == int(isinstance(takes, Exception))


def test_a_source_that_does_not_answer_its_change_in_time_is_connected_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.reload.APPLY_TIMEOUT_S", 0.1)

    async def hang(self: Recording, _settings: object) -> bool:
        self._done.append(f"apply {self.name}")
        return bool(await asyncio.Event().wait())

    monkeypatch.setattr(Recording, "apply", hang)

    async def change(reloader: Reloader, done: list[str]) -> None:
        rewrite(tmp_path, 'topic = "plant/mill-7', 'topic = "plant/mill-8')
        await reloader.reload()
        while "connect mqtt hall-2" not in done:  # noqa: ASYNC110 - it is connected by a task
            await asyncio.sleep(0.01)

    done, counters = running(tmp_path, change)

    assert done == ["apply mqtt hall-2", "end mqtt hall-2", "connect mqtt hall-2"]
    assert counters.faults == 0


def test_sources_are_added_and_removed_and_the_others_are_not_touched(tmp_path: Path) -> None:
    async def change(reloader: Reloader, done: list[str]) -> None:
        rewrite(tmp_path, 'name = "hall-2"', 'name = "hall-4"', BROKER)
        await reloader.reload()
        while len(done) < 3:  # noqa: ASYNC110 - they are connected by tasks
            await asyncio.sleep(0.01)

    done, _ = running(tmp_path, change)

    assert done[0] == "end mqtt hall-2"
    assert set(done[1:]) == {"connect mqtt hall-3", "connect mqtt hall-4"}


def test_the_same_file_again_touches_nothing(tmp_path: Path) -> None:
    async def again(reloader: Reloader, _done: list[str]) -> None:
        await reloader.reload()

    done, counters = running(tmp_path, again)

    assert done == []
    assert counters.reloads == 1


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "queue_size = ",
            "queue_sise = ",
            "edge.toml, opcua[0].queue_sise: unknown key; did you mean",
        ),
        ("[outbox]", "[outbox", "edge.toml is not TOML: "),
    ],
)
def test_a_wrong_file_changes_nothing_and_is_told_with_its_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, right: str, wrong: str, said: str
) -> None:
    async def spoil_and_mend(reloader: Reloader, _done: list[str]) -> None:
        def outcome() -> str:
            return reloader.last.outcome

        before = reloader.settings
        rewrite(tmp_path, right, wrong, BROKER)
        await reloader.reload()
        assert reloader.settings is before
        assert outcome() == "refused"
        assert reloader.last.problem is not None
        assert reloader.last.problem.startswith(said)
        (tmp_path / "edge.toml").unlink()
        await reloader.reload()
        assert reloader.last.problem is not None
        assert "is not there; write one with" in reloader.last.problem
        rewrite(tmp_path, right, right)
        await reloader.reload()
        assert outcome() == "taken"

    done, counters = running(tmp_path, spoil_and_mend)

    assert done == []
    assert (counters.reloads, counters.reloads_refused, counters.faults) == (1, 2, 0)
    assert f"the agent goes on with those it has; {said}" in caplog.text


def test_keys_that_cannot_be_read_refuse_the_settings_before_anything_is_changed(
    tmp_path: Path,
) -> None:
    def prepare(_settings: Settings) -> None:
        msg = "pki/own: no usable certificate; delete the folder"
        raise SettingsError(msg)

    async def change(reloader: Reloader, _done: list[str]) -> None:
        rewrite(tmp_path, 'machine = "press-04"', 'machine = "press-05"', BROKER)
        await reloader.reload()
        assert reloader.last.problem == "pki/own: no usable certificate; delete the folder"

    done, _ = running(tmp_path, change, prepare=prepare)

    assert done == []


def test_a_signal_asks_and_a_fault_in_a_reload_does_not_end_the_next(tmp_path: Path) -> None:
    broken = [True]

    def prepare(_settings: Settings) -> None:
        if broken:
            broken.pop()
            msg = "a bug"
            raise RuntimeError(msg)

    async def ask_twice(reloader: Reloader, _done: list[str]) -> None:
        for outcome in ("refused", "taken"):
            reloader.ask()
            reloader.ask()
            while reloader.last.outcome != outcome:  # noqa: ASYNC110 - a task does it
                await asyncio.sleep(0.01)

    done, counters = running(tmp_path, ask_twice, prepare=prepare)

    assert done == []
    assert counters.faults == 1


def test_what_needs_a_restart_is_told_and_stays_as_it_was(tmp_path: Path) -> None:
    async def change(reloader: Reloader, _done: list[str]) -> None:
        text = SAMPLE.replace('site = "mill-7"', 'site = "mill-8"')
        text = text.replace("compress = false", "compress = true")
        text = text.replace("port = 9640", "port = 0").replace("silent_s = 300.0", "silent_s = 9.0")
        (tmp_path / "edge.toml").write_text(text)
        await reloader.reload()
        assert reloader.last.needs_restart == ("site", "uplink.compress", "status.port")
        assert reloader.settings.site == "mill-7"
        assert reloader.settings.uplink.compress is False
        assert reloader.settings.status.port == 9640
        assert reloader.settings.status.source_silent_s == 9.0

    done, _ = running(tmp_path, change)

    assert done == []


def test_every_option_either_needs_a_restart_or_is_taken_live() -> None:
    classified = {*NEEDS_RESTART, *TAKEN_LIVE}

    for name, field in Settings.model_fields.items():
        inner = field.annotation
        if name in classified:
            assert not any(place.startswith(f"{name}.") for place in classified)
            continue
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        assert {f"{name}.{option}" for option in inner.model_fields} <= classified


def test_an_option_that_is_taken_live_is_in_force_after_a_reload(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE)
    old = load_settings(path)
    path.write_text(re.sub(r"heartbeat_s = 60.0", "heartbeat_s = 5.0", SAMPLE))

    changes = compare(old, load_settings(path))

    assert changes.settings.status.heartbeat_s == 5.0
    assert changes.needs_restart == changes.added == changes.removed == changes.changed == ()
