"""Six hours of a site in seconds: the production agent among seeded faults, then a calm.

One seed is one history: the same seed gives the same hash. After the faults comes the calm, in
which everything must drain within a bound; then the log of what was sensed is compared with what
the store holds.
"""

import asyncio
import logging
import sqlite3
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from edge_agent.errors import OutboxError
from tests.reliability.chance import Chance
from tests.reliability.oracle import Oracle, Reading, Verdict, judge
from tests.reliability.simulated_agent import Life, Parts
from tests.reliability.simulated_plant import BASE_TIME_NS, POISON_NODE, Keeper, Machine
from tests.reliability.simulated_store import SimulatedStore, read_line
from tests.reliability.virtual_time import VirtualLoop, run_virtual

HOURS: Final = 6.0
CALM_S: Final = 900.0
"""Time to drain: ten of the longest pauses of the uplink, and the request that may hang."""

BURST_EVERY_S: Final = 120.0
LARGEST_BURST: Final = 8
"""Values come in bursts, so that commits, sendings and acknowledgements are under way together."""

CAP_BYTES: Final = 370_000
"""Forty small pages: an outage of hours fills them."""
CAPPED_OUTAGES_S: Final = 7200.0

NODES: Final = {"opcua hall-1": ("press-1", "press-2"), "mqtt hall-2": ("pump-1", POISON_NODE)}
WINDOWS: Final = {"opcua hall-1": 1, "mqtt hall-2": 20}

TROUBLE: Final[dict[str, tuple[float, float]]] = {
    # what: mean time between [s], longest duration [s]
    "source cut": (400.0, 0.0),
    "source down": (1200.0, 120.0),
    "store down": (1500.0, 600.0),
    "everything slow": (1800.0, 120.0),
    "disk full": (2400.0, 120.0),
    "clock jump": (1200.0, 0.0),
    "small bodies": (3600.0, 600.0),
    "crash at any turn": (600.0, 0.0),
    "stop": (1800.0, 0.0),
}
AS_MADE: Final = Parts()
CLOCK_JUMPS_S: Final = (3600.0, -3600.0, 86_400.0, -86_400.0, 1.0, -1.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed showed."""

    seed: int
    verdict: Verdict
    n_waiting: int
    """Messages that are still at their sources or in the outbox after the calm."""
    n_needless: int
    """Records that were sent again although they had been answered."""
    n_dropped: int
    """Samples that the outbox counts as dropped at its cap."""
    duplicates_ratio: float
    """Arrivals for each value that the store holds: the price of sending again."""
    n_starts: int
    struck: Counter[str]
    history: str
    error: str = ""
    cpu_s: float = 0.0

    @property
    def problem(self) -> str:
        """What is wrong; empty if nothing is."""
        if self.error:
            return self.error
        if self.n_waiting:
            return f"{self.n_waiting} still wait after {CALM_S:.0f} s of calm"
        if not self.verdict.is_good:
            return str(self.verdict)
        if self.n_needless:
            return f"{self.n_needless} records sent again although answered"
        return ""


@dataclass
class Simulation:
    """One site with one agent; see `edge_simulation` in tests/benchmarks."""

    seed: int
    parts: Parts
    folder: Path
    hours: float = HOURS
    is_capped: bool = False
    is_disk_full: bool = False
    n_starts: int = 0
    keepers: dict[str, Keeper] = field(default_factory=dict)

    async def run(self) -> Outcome:
        self._loop = asyncio.get_running_loop()
        assert isinstance(self._loop, VirtualLoop)
        self.chance = Chance(self.seed, self._loop.time)
        self.oracle = Oracle()
        self.store = SimulatedStore(self.chance)
        self.max_bytes = CAP_BYTES if self.is_capped else 50_000_000
        self._wall_offset_ns = 0
        self._slowness = 1.0
        self._turns_to_live = -1
        self._life: Life | None = None
        self._driver = asyncio.current_task()
        for name, all_nodes in NODES.items():
            # The quarantine has a tenth of the cap, far too little for what the store refuses.
            nodes = [node for node in all_nodes if node != POISON_NODE or not self.is_capped]
            machine = Machine(self.oracle, nodes, self._loop.time)
            self.keepers[name] = Keeper(machine, WINDOWS[name], self.chance, self.latency_s)
        self._loop.set_on_turn(self._turn)
        self._boot(self.folder / "disk-0")
        self._plan()
        await asyncio.sleep(self.hours * 3600.0)
        await self._calm_down()
        return self._outcome()

    # --- what the agent's life asks (Surroundings) ---------------------------------------------

    def wall_ns(self) -> int:
        return BASE_TIME_NS + round(self._loop.time() * 1e9) + self._wall_offset_ns

    def now_s(self) -> float:
        return self._loop.time()

    def make_id(self) -> str:
        return f"{self.chance.random.getrandbits(64):016x}"

    def latency_s(self) -> float:
        return self.chance.random.uniform(0.001, 0.03) * self._slowness

    def died(self, life: Life, *, is_power_cut: bool) -> None:
        self.chance.note("died", is_power_cut)
        self.chance.struck["power cut" if is_power_cut else "kill -9"] += 1
        heir = self.folder / f"disk-{self.n_starts}"
        life.leave_disk(heir, is_power_cut=is_power_cut)
        self._loop.call_soon(self._bury, life, heir, 8)

    # --- lives ---------------------------------------------------------------------------------

    def _boot(self, folder: Path) -> None:
        self.n_starts += 1
        self.chance.note("start", self.n_starts)
        folder.mkdir(exist_ok=True)
        try:
            self._life = Life(self, folder, self.parts)
        except OutboxError:
            self._loop.call_later(5.0, self._boot, folder)

    def _bury(self, life: Life, heir: Path, turns: int) -> None:
        """Cancel whatever the ghost still does, until nothing is left of it."""
        for task in sorted(asyncio.all_tasks(self._loop), key=_age):
            if task is not self._driver:
                task.cancel()
        if turns:
            self._loop.call_soon(self._bury, life, heir, turns - 1)
            return
        for keeper in self.keepers.values():
            keeper.cut("the agent died")
        life.bury()
        self._loop.call_later(self.chance.random.uniform(0.5, 20.0), self._boot, heir)

    def _turn(self) -> None:
        if self._turns_to_live > 0:
            self._turns_to_live -= 1
            if self._turns_to_live == 0 and self._life is not None:
                self._life.die()
        if self._life is not None and self._life.task.done() and self._life.is_alive:
            # It was asked to stop, and has: the service manager starts it again.
            self._life.is_alive = False
            self.died(self._life, is_power_cut=False)

    # --- what goes on around it ----------------------------------------------------------------

    def _plan(self) -> None:
        for name in NODES:
            self._after(BURST_EVERY_S, partial(self._burst, name))
        for what in TROUBLE:
            self._again(what)

    def _after(self, mean_s: float, step: Callable[[], None]) -> None:
        self._loop.call_later(self.chance.random.expovariate(1.0 / mean_s), step)

    def _burst(self, name: str) -> None:
        at_s = 0.0
        for _ in range(self.chance.random.randint(1, LARGEST_BURST)):
            self._loop.call_later(at_s, self.keepers[name].sense)
            at_s += self.chance.random.choice((0.0, 0.01, 0.05, 0.2))
        if not self.chance.is_calm:
            self._after(BURST_EVERY_S, lambda: self._burst(name))

    def _again(self, what: str) -> None:
        mean_s, longest_s = TROUBLE[what]
        if what == "store down" and self.is_capped:
            longest_s = CAPPED_OUTAGES_S

        def begin() -> None:
            if self.chance.is_calm:
                return
            self.chance.note("trouble", what)
            self.chance.struck[what] += 1
            self._trouble(what, is_on=True)
            self._loop.call_later(self.chance.random.uniform(0.0, longest_s), end)

        def end() -> None:
            self._trouble(what, is_on=False)
            self._again(what)

        self._after(mean_s, begin)

    def _trouble(self, what: str, *, is_on: bool) -> None:  # noqa: C901 - one line each
        keepers = list(self.keepers.values())
        match what:
            case "source cut" if is_on:
                self.chance.random.choice(keepers).cut()
            case "source down":
                keeper = self.chance.random.choice(keepers) if is_on else None
                for each in keepers:
                    each.is_down = each is keeper
                if keeper is not None:
                    keeper.cut()
            case "store down":
                self.store.is_down = is_on
            case "everything slow":
                self._slowness = 100.0 if is_on else 1.0
            case "disk full":
                self.is_disk_full = is_on
            case "clock jump" if is_on:
                self._wall_offset_ns += round(self.chance.random.choice(CLOCK_JUMPS_S) * 1e9)
            case "small bodies":
                self.store.largest_body = 1100 if is_on else 10_000_000
            case "crash at any turn" if is_on:
                self._turns_to_live = self.chance.random.randint(1, 200)
            case "stop" if is_on and self._life is not None:
                self._life.stop.set()

    async def _calm_down(self) -> None:
        """Take all faults away; what is alive must come to rest by itself."""
        self.chance.note("calm")
        self.chance.is_calm = True
        for what in TROUBLE:
            self._trouble(what, is_on=False)
        self._turns_to_live = -1
        await asyncio.sleep(CALM_S)

    def broken(self, error: str) -> Outcome:
        """What there is to say of a run that ended with an error."""
        struck, history = self.chance.struck, self.chance.history
        return Outcome(
            self.seed, judge([], []), 0, 0, 0, 0.0, self.n_starts, struck, history, error
        )

    # --- the verdict ---------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        life = self._life
        assert life is not None
        n_at_sources = sum(len(keeper.kept) for keeper in self.keepers.values())
        disk = self.folder / "at-the-end"
        life.leave_disk(disk, is_power_cut=False)
        n_records, dropped, aside = _look(disk / "outbox.sqlite")
        verdict = judge(self.oracle.log, self.store.readings(), aside)
        if 0 < len(verdict.lost) <= dropped:
            # Dropped at the cap, and counted: not lost.
            verdict = judge(self.oracle.log, self.store.readings(), {*aside, *verdict.lost})
        return Outcome(
            seed=self.seed,
            verdict=verdict,
            n_waiting=n_at_sources + n_records,
            n_needless=len(self.store.needless),
            n_dropped=dropped,
            duplicates_ratio=len(self.store.arrived) / max(1, len(self.store.held)),
            n_starts=self.n_starts,
            struck=self.chance.struck,
            history=self.chance.history,
        )


def _age(task: "asyncio.Task[object]") -> tuple[int, str]:
    """Tasks are numbered as they are made; sets of them have no order that can be repeated."""
    return len(task.get_name()), task.get_name()


def _look(path: Path) -> tuple[int, int, set[Reading]]:
    """Records that wait, samples counted as dropped, and readings in the quarantine; plain SQL."""
    with sqlite3.connect(path) as database:
        (n_records,) = database.execute("SELECT count(*) FROM record").fetchone()
        tally = dict(database.execute("SELECT name, n FROM tally").fetchall())
        bodies = [
            zlib.decompress(body) if kind == "refused" else body
            for kind, body in database.execute("SELECT kind, body FROM quarantine")
        ]
    database.close()
    lines = (line for body in bodies for line in body.splitlines())
    aside = {read_line(line)[:2] for line in lines}
    return (
        n_records,
        tally.get("dropped_samples", 0),
        {one for one in aside if one[0] == POISON_NODE},
    )


def is_capped(seed: int) -> bool:
    """Whether a seed has an outbox so small that outages fill it: one in four has."""
    return seed % 4 == 3


def simulate(
    seed: int, parts: Parts = AS_MADE, *, hours: float = HOURS, is_capped: bool = False
) -> Outcome:
    """Run one seed.

    Parameters
    ----------
    seed : int
        Everything follows from it.
    parts : Parts
        What the agent is made of.
    hours : float
        Time with faults. [h]
    is_capped : bool
        Whether the outbox is so small that outages fill it.
    """
    began_s = time.process_time()
    with (
        _Silence(),
        tempfile.TemporaryDirectory(prefix="staybolt-simulation-", dir=_memory_folder()) as folder,
    ):
        simulation = Simulation(seed, parts, Path(folder), hours, is_capped)
        try:
            outcome: Outcome = run_virtual(simulation.run)
        except Exception as error:  # noqa: BLE001 - a planted bug may break anything
            outcome = simulation.broken(f"{type(error).__name__}: {error}")
    return replace(outcome, cpu_s=time.process_time() - began_s)


class _Silence:
    """The agent logs every fault, and there are thousands."""

    def __enter__(self) -> None:
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)


def _memory_folder() -> str | None:
    """A file system in memory: crashes are simulated, so syncing to a real disk adds only time."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder made below it
