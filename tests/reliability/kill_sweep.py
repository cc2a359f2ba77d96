"""`kill -9` at each system call of a real agent that changes a file, until a run survives.

strace kills the agent as it enters its N-th write, sync, truncation, renaming or removal (counted
in each thread). Then it is started again, must say within seconds that it listens, and everything
that was sensed must be in the store, once. Messages come from a real broker, which sends again
what was not acknowledged.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.reliability.agent_nursery import Nursery
from tests.reliability.kill_scenarios import (
    DAMAGE,
    REFUSED_MACHINE,
    Scenario,
    look,
)
from tests.reliability.mqtt_device import Device, Message, begin_session, narrow_broker
from tests.reliability.oracle import Oracle, Reading, judge
from tests.reliability.sink import Sink
from tests.servers.availability import find_program
from tests.servers.launch import Address

COMMON_CALLS: Final = ("pwrite64", "write", "fdatasync", "ftruncate")
RARE_CALLS: Final = ("fsync", "unlink,unlinkat", "rename,renameat,renameat2")
"""Made when a file is begun, set aside or closed."""

CALLS: Final = (*COMMON_CALLS, *RARE_CALLS)
"""System calls that change files; each is swept by itself."""

TIMEOUT_S: Final = 40.0
STILL_S: Final = 1.5
"""With the store away a run has no end that can be seen from outside; it is given this long."""

IN_FLIGHT: Final = 1
"""One message on its way at a time makes a commit of each. Brokers keep to their own limit only
under MQTT 3.1.1; under 5 the agent's counts."""

SUBSCRIBED: Final = b"topics subscribed"
PREFIX: Final = "plant/sweep"
CLIENT_ID: Final = "sweep"
MORE_TOPICS: Final = '[[mqtt.topics]]\ntopic = "plant/more/{machine}/telemetry"\n'
N_SMALL, N_LARGE, N_SIGNALS = 40, 125, 200
"""Records of an outbox at its cap of a megabyte: small ones first, each as large as a new one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One kill, and what came of it."""

    scenario: str
    calls: str
    when: int
    is_killed: bool
    """False if the run survived, which ends the sweep of these calls."""
    problems: tuple[str, ...]
    ready_s: float
    """From the restart until the agent said that it listens. [s]"""
    is_cold: bool
    """Whether the restart was a new interpreter, as a service manager starts one."""


@dataclass
class Rig:
    """A broker, a store and an agent's folder; everything lasts for all points but the agent."""

    folder: Path
    nursery: Nursery
    broker: Address
    sink: Sink
    device: Device
    oracle: Oracle
    config_text: str
    planted: str | None = None
    """Mistake that agents have until they are killed; the one that is started again has none."""
    timeout_s: float = TIMEOUT_S
    n_points: int = 0
    n_spoilt: int = 0
    full_state: Path | None = None
    full_readings: tuple[Reading, ...] = ()
    excused: set[Reading] = field(default_factory=set)

    @property
    def config(self) -> Path:
        return self.folder / "edge.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def outbox(self) -> Path:
        return self.state / "outbox.sqlite"

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"

    def sweep(
        self, scenario: Scenario, calls: str, whens: Iterable[int], cold_every: int = 0
    ) -> Iterator[Point]:
        """Kill at each of these, until a run survives."""
        for when in whens:
            self.n_points += 1
            is_cold = cold_every > 0 and self.n_points % cold_every == 0
            point = self._point(scenario, calls, when, is_cold=is_cold)
            yield point
            if not point.is_killed:
                return

    # --- one point -----------------------------------------------------------------------------

    def _point(self, scenario: Scenario, calls: str, when: int, *, is_cold: bool) -> Point:
        self._prepare(scenario)
        messages = scenario.messages(self.device, self.n_spoilt)
        self.n_spoilt += scenario.n_messages
        match scenario.attaches:
            case "at the start":
                self.device.publish(messages)
                is_killed = self._kill_from_start(scenario, calls, when, messages)
            case "before the messages":
                pid = self._start_and_listen()
                with _killer(pid, calls, when) as tracer:
                    half = len(messages) // 2 if scenario.reloads else 0
                    self.device.publish(messages[:half])
                    if scenario.reloads:
                        self._reload(pid)
                    self.device.publish(messages[half:])
                    is_killed = self._wait_for_kill(pid, tracer, scenario, messages)
            case _:
                pid = self._start_and_listen()
                self.device.publish(messages)
                self._wait(lambda: self._n_kept() >= scenario.n_messages)
                with _killer(pid, calls, when) as tracer:
                    os.kill(pid, signal.SIGTERM)
                    status = self.nursery.wait(pid, self.timeout_s)
                    is_killed = status == -signal.SIGKILL
                    assert tracer.wait(self.timeout_s) is not None
        self.sink.is_away, self.sink.delay_s, self.sink.fails_every = False, 0.0, 0
        ready_s, problems = self._run_until_drained(scenario, messages, is_cold=is_cold)
        return Point(scenario.name, calls, when, is_killed, tuple(problems), ready_s, is_cold)

    def _prepare(self, scenario: Scenario) -> None:
        shutil.rmtree(self.state, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.config.write_text(self.config_text)
        self.sink.refused_machine = REFUSED_MACHINE
        if scenario.is_full:
            self._fill()
            assert self.full_state is not None
            shutil.copytree(self.full_state, self.state, ignore=shutil.ignore_patterns("*.sock"))
        else:
            self.state.mkdir(mode=0o700)
        if scenario.is_damaged:
            (self.state / "outbox.sqlite").write_bytes(DAMAGE)
        self.sink.is_away, self.sink.delay_s = scenario.is_store_away, scenario.store_delay_s
        self.sink.fails_every, self.sink.n_requests = scenario.store_fails_every, 0

    def _reload(self, pid: int) -> None:
        """Let the agent listen to one topic more from now on."""
        self.config.write_text(f"{self.config_text}{MORE_TOPICS}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)

    def _start_and_listen(self) -> int:
        pid = self.nursery.start(self.config, self.log, planted=self.planted)
        self._wait(lambda: SUBSCRIBED in _read(self.log))
        return pid

    def _kill_from_start(
        self, scenario: Scenario, calls: str, when: int, messages: list[Message]
    ) -> bool:
        gate = self.folder / "gate"
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        pid = self.nursery.start(self.config, self.log, gate, self.planted)
        with _killer(pid, calls, when) as tracer:
            gate.open("wb").close()
            return self._wait_for_kill(pid, tracer, scenario, messages)

    def _wait_for_kill(
        self,
        pid: int,
        tracer: "subprocess.Popen[str]",
        scenario: Scenario,
        messages: list[Message],
    ) -> bool:
        wanted = _stored(messages)
        longest_s = STILL_S if scenario.is_store_away else self.timeout_s
        deadline_s = time.monotonic() + longest_s
        while tracer.poll() is None and time.monotonic() < deadline_s:
            if self.sink.has_all(wanted, 0.01):
                # What follows the last arrival is part of the run: the record is forgotten.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    tracer.wait(0.2)
                break
        # The tracer learns of the end before the parent does.
        status = self.nursery.wait(pid, 0.0 if tracer.poll() is None else self.timeout_s)
        if status is None:
            self.nursery.kill(pid)
        return status == -signal.SIGKILL

    def _run_until_drained(
        self, scenario: Scenario, messages: list[Message], *, is_cold: bool
    ) -> tuple[float, list[str]]:
        self.log.unlink(missing_ok=True)
        began_s = time.monotonic()
        stop = self._start_cold() if is_cold else self._start_forked()
        try:
            ready_s = self._wait(lambda: SUBSCRIBED in _read(self.log)) - began_s
            wanted = _stored(messages) | set(self.full_readings if scenario.is_full else ())
            if not scenario.is_full:
                self.sink.has_all(wanted, self.timeout_s)
            return ready_s, self._compare(scenario, wanted, messages)
        finally:
            stop()

    def _compare(
        self, scenario: Scenario, wanted: set[Reading], messages: list[Message]
    ) -> list[str]:
        """Look until all is well, or it is too late."""
        aside_wanted = [each.payload for each in messages if not each.readings]
        aside_wanted += [
            b"machine=%s,signal=flow_m3_h value=%d" % (REFUSED_MACHINE.encode(), counter)
            for each in messages
            for node, counter in each.readings
            if node.startswith(REFUSED_MACHINE)
        ]
        problems: list[str] = ["never looked"]

        def is_well() -> bool:
            problems.clear()
            left = look(self.outbox)
            if left is None:
                problems.append("the outbox can't be read")
                return False
            lost = wanted - set(self.sink.arrived)
            n_allowed = left.n_dropped if scenario.is_full else 0
            if len(lost) > n_allowed:
                problems.append(f"{len(lost)} lost, {left.n_dropped} dropped: {sorted(lost)[:3]}")
            else:
                self.excused |= lost
            gone = [each for each in aside_wanted if each not in left.aside]
            if gone:
                problems.append(f"{len(gone)} not in the quarantine: {gone[:2]}")
            if left.n_records:
                problems.append(f"{left.n_records} records still wait")
            kept = self.state / "outbox.sqlite.damaged-1"
            if scenario.is_damaged and (not kept.exists() or kept.read_bytes() != DAMAGE):
                problems.append("the damaged file was not kept")
            return not problems

        with contextlib.suppress(TimeoutError):
            self._wait(is_well)
        return problems

    def _start_forked(self) -> Callable[[], None]:
        pid = self.nursery.start(self.config, self.log)
        return lambda: self.nursery.kill(pid)

    def _start_cold(self) -> Callable[[], None]:
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self.config)]
        with self.log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)

        def stop() -> None:
            process.kill()
            process.wait()

        return stop

    def _wait(self, is_true: Callable[[], bool]) -> float:
        """When something became true.

        Raises
        ------
        TimeoutError
            If it did not.
        """
        deadline_s = time.monotonic() + self.timeout_s
        while not is_true():
            if time.monotonic() > deadline_s:
                msg = f"not within {self.timeout_s} s; the agent said: {_read(self.log)[-2000:]!r}"
                raise TimeoutError(msg)
            time.sleep(0.005)
        return time.monotonic()

    def _fill(self) -> None:
        """Let an agent whose store is away fill its outbox to the cap, once."""
        if self.full_state is not None:
            return
        self.state.mkdir(mode=0o700)
        self.sink.is_away = True
        small = [self.device.sense("old") for _ in range(N_SMALL)]
        large = [
            self.device.sense_many(
                "old", [f"{os.urandom(20).hex()}_ratio" for _ in range(N_SIGNALS)]
            )
            for _ in range(N_LARGE)
        ]
        stop = self._start_forked()
        for messages in (small, large):
            n_before = self._n_kept()
            self.device.publish(messages)
            n_wanted = sum(len(each.readings) for each in messages)
            self._wait(lambda n=n_before + n_wanted: self._n_kept() >= n)  # type: ignore[misc]
        stop()
        self.full_readings = tuple(one for each in (*small, *large) for one in each.readings)
        self.full_state = self.folder / "full"
        self.state.rename(self.full_state)

    def _n_kept(self) -> int:
        left = look(self.outbox)
        return 0 if left is None else left.n_samples + left.n_dropped


@contextlib.contextmanager
def kill_rig(folder: Path, *, group_commit_ms: float = 0.0) -> Iterator[Rig]:
    """Everything that a sweep needs."""
    oracle, sink = Oracle(), Sink()
    with contextlib.ExitStack() as stack:
        stack.callback(sink.close)
        nursery = stack.enter_context(Nursery())
        broker = stack.enter_context(narrow_broker(folder / "broker", in_flight=IN_FLIGHT))
        begin_session(broker, CLIENT_ID, f"{PREFIX}/+/telemetry")
        device = Device(broker, PREFIX, oracle)
        stack.callback(device.close)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text("a-token")
        config = _config_text(sink, broker, group_commit_ms)
        yield Rig(folder, nursery, broker, sink, device, oracle, config)


def verdict_of(rig: Rig) -> str:
    """Compare the whole log with the whole store; empty if all is well."""
    log = [one for one in rig.oracle.log if not one[0].startswith(REFUSED_MACHINE)]
    verdict = judge(log, rig.sink.readings(), rig.excused)
    return "" if verdict.is_good else str(verdict)


def _config_text(sink: Sink, broker: Address, group_commit_ms: float) -> str:
    return f"""
site = "mill-7"
state_dir = "state"
[status]
port = 0
heartbeat_s = 0.0
[uplink]
url = "{sink.url}"
token_file = "token"
retry_max_s = 0.2
[outbox]
group_commit_ms = {group_commit_ms}
max_bytes = 1000000
[[mqtt]]
name = "hall-2"
host = "127.0.0.1"
port = {broker.port}
client_id = "{CLIENT_ID}"
protocol = "3.1.1"
[[mqtt.topics]]
topic = "{PREFIX}/{{machine}}/telemetry"
"""


@contextlib.contextmanager
def _killer(pid: int, calls: str, when: int) -> Iterator["subprocess.Popen[str]"]:
    """strace that is attached, and kills at the N-th of these calls of any thread."""
    command = [
        find_program("strace") or "strace",
        *("-f", "-p", str(pid), "-o", os.devnull, "-e", f"trace={calls}"),
        *("-e", f"inject={calls}:signal=KILL:when={when}"),
    ]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        first = tracer.stderr.readline()
        assert "attached" in first, f"strace: {first}{tracer.stderr.read()}"
        yield tracer
    finally:
        tracer.kill()
        tracer.wait()
        tracer.stderr.close()


def _stored(messages: Iterable[Message]) -> set[Reading]:
    """What of these the store takes."""
    readings = {one for each in messages for one in each.readings}
    return {one for one in readings if not one[0].startswith(REFUSED_MACHINE)}


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
