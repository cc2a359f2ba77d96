"""The worker: health, then planning, then retention, again and again, whatever happens.

Each step finds in the stores what the step before wrote. A step that fails is logged once for
each cause, counted, and tried again in the next round; the others go on.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from analytics.arrays import AnalyticsError
from api.context import AppContext
from api.health.updating import HealthUpdater
from api.planning.proposing import Proposer
from api.retention.risks import RiskUpdater
from ingest.errors import IngestError

logger = logging.getLogger(__name__)

REMEDIES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (IngestError, "check that the telemetry store runs and its disk is not full"),
    (SQLAlchemyError, "check that the registry's database runs and its disk is not full"),
    (AnalyticsError, "look at the data it names"),
    (Exception, "please report it with this log"),
)

MAX_CAUSES: Final = 100
"""A cause whose words change each time must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did.

    Parameters
    ----------
    duration_s : float
        How long it took. [s]
    steps : dict of str to float
        How long each step took. [s]
    n_health, n_alarms, n_proposals, n_risks : int
        What was written.
    errors : tuple of str
        Steps that failed.
    """

    duration_s: float
    steps: dict[str, float]
    n_health: int = 0
    n_alarms: int = 0
    n_proposals: int = 0
    n_risks: int = 0
    errors: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class WorkerStatus:
    """How the worker has been doing, for ``/healthz``.

    Parameters
    ----------
    n_rounds : int
        Rounds so far.
    last_round : Round or None
        The newest.
    last_at : datetime or None
        When it ended.
    n_errors : Counter
        Failures of each step.
    """

    n_rounds: int = 0
    last_round: Round | None = None
    last_at: datetime | None = None
    n_errors: Counter[str] = field(default_factory=Counter)


class Worker:
    """Runs the rounds, in a thread of its own or one at a time.

    Parameters
    ----------
    context : AppContext
        Stores, settings and clock of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._health = HealthUpdater(context)
        self._proposer = Proposer(context)
        self._risks = RiskUpdater(context)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[tuple[str, str]] = set()
        self.status = WorkerStatus()

    def start(self) -> None:
        """Begin the rounds in a thread."""
        self._thread = threading.Thread(target=self._run, name="staybolt-worker", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """End after the round that is running.

        Parameters
        ----------
        timeout_s : float
            How long to wait for it. [s]
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def run_once(self) -> Round:
        """Do one round now.

        Returns
        -------
        Round
            What it did.
        """
        now = self._context.now()
        written: Counter[str] = Counter()
        steps: dict[str, float] = {}
        errors: list[str] = []

        def judge_health() -> None:
            update = self._health.update(now)
            written.update(health=update.n_snapshots, alarms=update.n_alarms)

        def propose() -> None:
            written.update(proposals=self._proposer.update(now))

        def judge_risks() -> None:
            written.update(risks=self._risks.update(now))

        began_s = time.perf_counter()
        for name, step in (
            ("health", judge_health),
            ("planning", propose),
            ("retention", judge_risks),
        ):
            step_began_s = time.perf_counter()
            if not self._try(name, step):
                errors.append(name)
            steps[name] = round(time.perf_counter() - step_began_s, 6)
        done = Round(
            round(time.perf_counter() - began_s, 6),
            steps,
            written["health"],
            written["alarms"],
            written["proposals"],
            written["risks"],
            tuple(errors),
        )
        self.status.n_rounds += 1
        self.status.last_round, self.status.last_at = done, self._context.now()
        return done

    def _try(self, name: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception as error:  # noqa: BLE001  # at the top of a loop that must never die
            self._report(name, error)
            return False
        if any(said[0] == name for said in self._said):
            self._said = {said for said in self._said if said[0] != name}
            logger.info("the %s step of the worker works again", name)
        return True

    def _report(self, name: str, error: Exception) -> None:
        """Say a failure once, and count it always: a store away for a night fills no disk."""
        self.status.n_errors[name] += 1
        cause = (name, f"{type(error).__name__}: {error}")
        if cause in self._said:
            return
        if len(self._said) >= MAX_CAUSES:
            self._said.clear()
        self._said.add(cause)
        remedy = next(text for kind, text in REMEDIES if isinstance(error, kind))
        is_expected = isinstance(error, IngestError | SQLAlchemyError)
        logger.log(
            logging.ERROR,
            "the %s step of the worker failed and will be tried again: %s; %s",
            name,
            cause[1],
            remedy,
            exc_info=None if is_expected else error,
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            done = self.run_once()
            if done.n_health or done.n_alarms or done.n_proposals or done.n_risks or done.errors:
                self._publish(done)
            self._stop.wait(self._context.settings.update_interval_s)

    def _publish(self, done: Round) -> None:
        self._context.hub.publish(
            "update",
            {
                "duration_s": done.duration_s,
                "steps": done.steps,
                "n_health": done.n_health,
                "n_alarms": done.n_alarms,
                "n_proposals": done.n_proposals,
                "n_risks": done.n_risks,
                "errors": list(done.errors),
            },
        )
