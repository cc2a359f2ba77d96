"""Real processes, a network that fails, and kills: everything sensed must be stored, once, right.

An OPC UA server, a broker with a device, the agent, and ingest with DuckDB each run as a process of
its own. The agent reaches the others through doors (`simulators.faults.proxy`) that cut, hold up,
slow, slice and garble; all three links are secured, so that garbled bits are noticed. Faults come
one upon the other, seeded; then everything is mended, and what was sensed must drain.
"""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simulators.faults.proxy import ProxyState
from simulators.loopback import free_port
from tests.reliability.chaos_device import ChaosDevice
from tests.reliability.chaos_judge import OpcuaLog, only_in_killed, peek_store, read_store
from tests.reliability.chaos_plant import (
    EVERY_S,
    LINKS,
    PROCESSES,
    Doors,
    make_programs,
    write_files,
)
from tests.reliability.oracle import Oracle, Verdict, judge

N_MACHINES: Final = 8
DRAIN_TIMEOUT_S: Final = 60.0
START_TIMEOUT_S: Final = 60.0
BETWEEN_FAULTS_S: Final = 0.7
LONGEST_FAULT_S: Final = 3.0
REST_S: Final = 4.0
"""A process is left alone for so long after it was hurt, or it would only ever start."""

NETWORK: Final[dict[str, ProxyState]] = {
    "cut": ProxyState("cut", after_bytes=700),
    "refused": ProxyState("refuse"),
    "reset": ProxyState("reset"),
    "black hole": ProxyState("half-open"),
    "half-open": ProxyState("half-open", direction="to-client"),
    "slow": ProxyState("slow", bytes_per_s=4000.0),
    "delayed": ProxyState("delay", delay_s=0.3, jitter_s=0.3),
    "3-byte slices": ProxyState("slice", piece_bytes=3),
    "flipped bits": ProxyState("flip", every_bytes=3000, direction="both"),
}
KINDS: Final = (
    *NETWORK,
    *(f"kill -9 {name}" for name in PROCESSES),
    *(f"SIGSTOP {name}" for name in PROCESSES),
)


@dataclass(frozen=True, slots=True)
class ChaosOutcome:
    """What one run showed."""

    seed: int
    verdict: Verdict
    n_only_in_killed: int
    """Values that nothing but the memory of a killed OPC UA server ever held."""
    n_unwatched: int
    """Values of the OPC UA server while nobody was subscribed."""
    n_wrong: int
    """Values stored at another time than the one they were sensed at."""
    drain_s: float
    injected: Counter[str]
    n_flipped_bits: int
    n_repeated: int
    """Messages that the device itself published again after a broker was killed."""
    n_crashes: int
    """Times that a process ended although nobody killed it."""

    @property
    def problem(self) -> str:
        """What is wrong; empty if nothing is."""
        problems = [] if self.verdict.is_good else [str(self.verdict)]
        if self.n_wrong:
            problems.append(f"{self.n_wrong} with a wrong time")
        if self.n_crashes:
            problems.append(f"{self.n_crashes} processes ended by themselves")
        return "; ".join(problems)


@dataclass
class Mending:
    """What is hurt now, and when it is mended."""

    steps: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    busy_until_s: dict[str, float] = field(default_factory=dict)

    def is_busy(self, name: str) -> bool:
        return self.busy_until_s.get(name, 0.0) > time.monotonic()

    def after(self, seconds: float, step: Callable[[], None]) -> None:
        self.steps.append((time.monotonic() + seconds, step))

    def mend_what_is_due(self, *, is_all: bool = False) -> None:
        now_s = time.monotonic()
        for due in [each for each in self.steps if is_all or each[0] <= now_s]:
            self.steps.remove(due)
            due[1]()


class Chaos:
    """One run.

    Parameters
    ----------
    folder : Path
        For everything.
    seed : int
        Decides which fault comes when and where.
    planted : str, optional
        Mistake that the agent has, see `tests.reliability.planted_agents`.
    drain_timeout_s : float
        How long to wait for what is missing. [s]
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        planted: str | None = None,
        drain_timeout_s: float = DRAIN_TIMEOUT_S,
    ) -> None:
        self.folder = folder
        self.drain_timeout_s = drain_timeout_s
        self.seed = seed
        self.injected: Counter[str] = Counter()
        self._chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._oracle = Oracle()
        self._mending = Mending()
        self._n_crashes = 0
        self._killed_after: list[int] = []
        ports = {name: free_port() for name in (*LINKS, "device")}
        self._doors = Doors({name: ports[name] for name in LINKS}, seed)
        self._log = folder / "sensed.log"
        self._programs = make_programs(folder, self._log, ports, planted)
        # Kills come at random: with a mistake, what is in memory is left there long enough to meet.
        group_commit_ms = 50 if planted is None else 1000
        write_files(folder, ports, self._doors.doors, group_commit_ms)
        self._device: ChaosDevice | None = None
        self._device_port = ports["device"]

    def run(self, seconds: float) -> ChaosOutcome:
        """Let faults come for so long, mend all, wait until nothing is missing, and compare."""
        try:
            device = self._start_all()
            self._hurt(device, seconds)
            return self._heal_and_compare(device)
        finally:
            if self._device is not None:
                self._device.close()
            for program in self._programs.values():
                program.kill()
            self._doors.close()

    def _start_all(self) -> ChaosDevice:
        for name in ("broker", "opcua", "ingest"):
            self._programs[name].start()
        said = {name: self._programs[name].said for name in PROCESSES}
        self._wait("ingest", lambda: "taking telemetry" in said["ingest"]())
        self._wait("the OPC UA server", self._log.exists)
        self._programs["agent"].start()
        self._wait(
            "the agent", lambda: said["agent"]().count("subscribed") >= len(("opcua", "mqtt"))
        )
        self._device = ChaosDevice(self._device_port, "plant", N_MACHINES, self._oracle)
        return self._device

    # --- hurting it ----------------------------------------------------------------------------

    def _hurt(self, device: ChaosDevice, seconds: float) -> None:
        kinds: list[str] = []
        until_s = time.monotonic() + seconds
        next_fault_s = time.monotonic()
        while time.monotonic() < until_s:
            device.say()
            self._mending.mend_what_is_due()
            if time.monotonic() >= next_fault_s:
                next_fault_s += self._chance.uniform(0.3, 2 * BETWEEN_FAULTS_S - 0.3)
                if not kinds:
                    # Each kind once before any comes again.
                    kinds = list(KINDS)
                    self._chance.shuffle(kinds)
                kind = next((each for each in kinds if self._begin(each)), None)
                if kind is not None:
                    kinds.remove(kind)
            self._notice_crashes()
            time.sleep(EVERY_S)
        self._mending.mend_what_is_due(is_all=True)

    def _begin(self, kind: str) -> bool:
        """Let a fault begin; False if what it would hurt is hurt already."""
        lasts_s = self._chance.uniform(0.3, LONGEST_FAULT_S)
        if kind in NETWORK:
            return self._hurt_link(kind, lasts_s)
        how, _, name = kind.rpartition(" ")
        if self._mending.is_busy(name):
            return False
        self._mending.busy_until_s[name] = time.monotonic() + lasts_s + REST_S
        self.injected[kind] += 1
        program = self._programs[name]
        if how == "SIGSTOP":
            program.send(signal.SIGSTOP)
            self._mending.after(lasts_s, lambda: program.send(signal.SIGCONT))
            return True
        program.kill()
        if name == "broker" and self._device is not None:
            self._device.broker_was_killed()
        if name == "opcua":
            self._killed_after.append(OpcuaLog.read(self._log).last)
        self._mending.after(min(lasts_s, 1.0), program.start)
        return True

    def _hurt_link(self, kind: str, lasts_s: float) -> bool:
        free = [name for name in LINKS if not self._mending.is_busy(f"link to {name}")]
        if not free:
            return False
        name = self._chance.choice(free)
        self._mending.busy_until_s[f"link to {name}"] = time.monotonic() + lasts_s
        self.injected[kind] += 1
        self._doors.set(name, NETWORK[kind])
        self._mending.after(lasts_s, lambda: self._doors.set(name, ProxyState()))
        return True

    def _notice_crashes(self) -> None:
        """A process that ended by itself is a finding; it is started again as by a supervisor."""
        for name, program in self._programs.items():
            if not program.is_running and not self._mending.is_busy(name):
                self._n_crashes += 1
                self.injected[f"(ended by itself: {name})"] += 1
                program.start()

    # --- mending and judging -------------------------------------------------------------------

    def _heal_and_compare(self, device: ChaosDevice) -> ChaosOutcome:
        healed_s = time.monotonic()
        for name in LINKS:
            self._doors.set(name, ProxyState())
        for program in self._programs.values():
            if not program.is_running:
                program.start()
        (self.folder / "server" / "stop").touch()
        with contextlib.suppress(TimeoutError):
            self._wait("the OPC UA server", (self.folder / "server" / "stopped").exists)
            self._wait("the device", device.is_done)
            self._wait("the store", self._is_drained, self.drain_timeout_s, every_s=0.5)
        drain_s = time.monotonic() - healed_s
        n_flipped_bits = sum(door.counts.n_flipped_bits for door in self._doors.doors.values())
        for name in ("agent", "ingest"):
            self._programs[name].send(signal.SIGTERM)
            process = self._programs[name].process
            assert process is not None
            process.wait(START_TIMEOUT_S)
        held = read_store(self.folder / "telemetry.duckdb")
        log = OpcuaLog.read(self._log)
        died_with_it = only_in_killed(log, held.readings, self._killed_after)
        sensed = [*self._oracle.log, *log.watched, *log.unwatched]
        return ChaosOutcome(
            seed=self.seed,
            verdict=judge(sensed, held.readings, {*died_with_it, *log.unwatched}),
            n_only_in_killed=len(died_with_it),
            n_unwatched=len(log.unwatched),
            n_wrong=held.n_wrong,
            drain_s=drain_s,
            injected=self.injected,
            n_flipped_bits=n_flipped_bits,
            n_repeated=device.n_repeated,
            n_crashes=self._n_crashes,
        )

    def _is_drained(self) -> bool:
        held = peek_store(self.folder / "telemetry.duckdb")
        if held is None:
            return False
        log = OpcuaLog.read(self._log)
        excused = only_in_killed(log, held.readings, self._killed_after)
        verdict = judge([*self._oracle.log, *log.watched], held.readings, excused)
        return not verdict.lost

    def _wait(
        self,
        what: str,
        is_true: Callable[[], bool],
        timeout_s: float = START_TIMEOUT_S,
        every_s: float = 0.05,
    ) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not is_true():
            if time.monotonic() > deadline_s:
                said = {name: each.said()[-1500:] for name, each in self._programs.items()}
                msg = f"{what}: not within {timeout_s} s; {said}"
                raise TimeoutError(msg)
            time.sleep(every_s)
