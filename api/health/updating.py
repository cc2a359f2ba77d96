"""Judges machines again when samples came in, and writes down what is new."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from analytics.health.rul import RulEstimate
from api.blocks import SeriesOf, WindowReader
from api.context import AppContext
from api.evidence.edges import Step, add_evidence, samples_id
from api.fitted import FittedModel
from api.health.alarms import bring_into_line
from api.health.judging import Judgements, judge
from api.registry.catalogue import machine_facts
from api.registry.database import read_session, session
from api.registry.models import Alarm, HealthSnapshot
from api.snapshots import latest_health
from api.times import from_ns, to_ns
from ingest.telemetry import Series

LEAST_STEP: Final = timedelta(hours=6)
"""So much of a machine's own time is news however little time it took to arrive: after an outage
days come in within minutes, and what is shown may not lag behind them."""

LEAST_CHANGE_PCT: Final = 0.5
"""Health that moved less is not written at once: half a per cent is invisible on a gauge."""

SILENT_STEPS: Final = 4
"""Without a good sample for so many steps, a machine that still reports is said to stand still."""

METHOD: Final = "similarity of fused damage to lives that ran to failure, by health model {version}"

# Where the survival is kept: close together where visits are decided, wide apart beyond.
_NEAR_H: Final = np.concatenate([np.arange(0.0, 48.0, 6.0), np.arange(2, 31) * 24.0])
_N_FAR: Final = 12

_SAID: Final = (
    "as_of",
    "health_pct",
    "anomaly_score",
    "remaining_useful_life_h",
    "survival",
    "contributions",
    "n_samples",
    "note",
    "model_version",
)


@dataclass(frozen=True, slots=True)
class HealthUpdate:
    """What one round wrote.

    Parameters
    ----------
    n_snapshots : int
        Health snapshots.
    n_alarms : int
        Versions of alarms.
    """

    n_snapshots: int
    n_alarms: int


@dataclass(slots=True, eq=False)
class _KindState:
    """What is kept of one kind of machine between rounds."""

    version: str
    reader: WindowReader
    newest_ns: dict[str, int] = field(default_factory=dict)


class HealthUpdater:
    """Keeps the windows of all kinds and judges what has new samples.

    Parameters
    ----------
    context : AppContext
        Stores and settings of the running server.
    clock_s : callable, optional
        Steady clock. [s]
    """

    def __init__(
        self, context: AppContext, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._clock_s = clock_s
        self._states: dict[str, _KindState] = {}
        self._latest: dict[str, HealthSnapshot] | None = None
        self._looked_at_s = -np.inf
        self._held_ns: dict[str, int] = {}
        """Newest sample of judgements that moved too little to be written at once."""

    def update(self, now: datetime) -> HealthUpdate:
        """Judge every machine that has new samples and a fitted model.

        Parameters
        ----------
        now : datetime
            The present.

        Returns
        -------
        HealthUpdate
            What was written.

        Notes
        -----
        Whatever goes wrong on the way, what was to be judged is judged next time.
        """
        dirty = self._context.arrivals.take()
        try:
            return self._update(dirty, now)
        except Exception:
            self._context.arrivals.give_back(dirty)
            raise

    def _update(self, dirty: dict[str, int], now: datetime) -> HealthUpdate:
        fitted = self._context.models.newest()
        # If nothing more comes, the last small step must be written all the same.
        for machine in [machine for machine in self._held_ns if self._has_paused(machine, now)]:
            held_ns = self._held_ns[machine]
            dirty[machine] = min(dirty.get(machine, held_ns), held_ns)
        is_due = self._clock_s() - self._looked_at_s >= self._context.settings.history_check_s
        is_new_model = any(
            kind not in self._states or self._states[kind].version != one.version
            for kind, one in fitted.items()
        )
        if not dirty and not is_due and not is_new_model:
            return HealthUpdate(0, 0)
        self._looked_at_s = self._clock_s()
        n_snapshots = n_alarms = 0
        for kind, series_of in self._series_by_kind(fitted, now).items():
            written = self._update_kind(fitted[kind], series_of, dirty, now)
            n_snapshots += written.n_snapshots
            n_alarms += written.n_alarms
        return HealthUpdate(n_snapshots, n_alarms)

    def _series_by_kind(
        self, fitted: Mapping[str, FittedModel], now: datetime
    ) -> dict[str, dict[str, dict[str, list[Series]]]]:
        """Series by kind, machine and signal, as far as a model looks at them."""
        with read_session(self._context.engine) as reading:
            kind_of = {key: facts.kind for key, facts in machine_facts(reading, now).items()}
            if self._latest is None:
                self._latest = latest_health(reading)
        found: dict[str, dict[str, dict[str, list[Series]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for series in self._context.store.series():
            kind = kind_of.get(series.machine)
            if kind is not None and kind in fitted and series.signal in fitted[kind].model.signals:
                found[kind][series.machine][series.signal].append(series)
        return found

    def _update_kind(
        self,
        fitted: FittedModel,
        series_of: SeriesOf,
        dirty: dict[str, int],
        now: datetime,
    ) -> HealthUpdate:
        state = self._states.get(fitted.kind)
        if state is None or state.version != fitted.version:
            model, settings = fitted.model, self._context.settings.health
            reader = WindowReader(
                self._context.store,
                model.signals,
                step_h=model.step_h,
                window_days=settings.window_days,
            )
            state = _KindState(fitted.version, reader)
        heard_ns = self._context.newest.by_machine()
        newest_ns = {machine: heard_ns[machine] for machine in series_of if machine in heard_ns}
        dirty_from_ns = _dirty_from(state.newest_ns, newest_ns, dirty)
        if not newest_ns or (dirty_from_ns is None and state.newest_ns):
            return HealthUpdate(0, 0)
        window = state.reader.read(
            series_of, max(newest_ns.values()), dirty_from_ns if state.newest_ns else None
        )
        judged = judge(fitted.model, window)
        written = self._write(fitted, judged, newest_ns, now)
        # Only now: a round that failed half-way reads everything again.
        state.newest_ns = newest_ns
        self._states[fitted.kind] = state
        return written

    def _write(
        self, fitted: FittedModel, judged: Judgements, newest_ns: dict[str, int], now: datetime
    ) -> HealthUpdate:
        latest = self._latest if self._latest is not None else {}
        with session(self._context.engine) as writing:
            alarms = bring_into_line(writing, fitted, judged, now)
            touched = {alarm.machine_key for alarm in alarms}
            found = [
                _snapshot(fitted, judged, column, newest_ns[machine], now)
                for column, machine in enumerate(judged.window.block.machines)
                if judged.newest[column] >= 0
            ]
            snapshots = [
                snapshot
                for snapshot in found
                if snapshot.machine_key in touched
                or self._is_news(snapshot, latest.get(snapshot.machine_key))
            ]
            writing.add_all(snapshots)
            writing.flush()
            for snapshot in snapshots:
                _add_evidence(writing, snapshot)
        latest.update({snapshot.machine_key: snapshot for snapshot in snapshots})
        for snapshot in found:
            if _says_the_same(snapshot, latest[snapshot.machine_key]):
                self._held_ns.pop(snapshot.machine_key, None)
            else:
                self._held_ns[snapshot.machine_key] = to_ns(snapshot.as_of)
        for snapshot in snapshots:
            self._publish_health(snapshot)
        for alarm in alarms:
            self._publish_alarm(alarm)
        return HealthUpdate(len(snapshots), len(alarms))

    def _is_news(self, new: HealthSnapshot, old: HealthSnapshot | None) -> bool:
        if old is None or new.model_version != old.model_version or new.note != old.note:
            return True
        if _says_the_same(new, old):
            return False
        if new.as_of - old.as_of >= LEAST_STEP:
            return True
        moved = _distance(new.health_pct, old.health_pct)
        return moved >= LEAST_CHANGE_PCT or self._has_paused(new.machine_key, new.computed_at)

    def _has_paused(self, machine: str, now: datetime) -> bool:
        """Whether its newest judgement is so old that any change is written."""
        old = (self._latest or {}).get(machine)
        pause = timedelta(seconds=self._context.settings.health.snapshot_every_s)
        return old is None or now - old.computed_at >= pause

    def _publish_health(self, snapshot: HealthSnapshot) -> None:
        self._context.hub.publish(
            "health",
            {
                "machine_key": snapshot.machine_key,
                "snapshot_id": snapshot.id,
                "health_pct": snapshot.health_pct,
                "anomaly_score_ratio": snapshot.anomaly_score,
                "remaining_useful_life_h": snapshot.remaining_useful_life_h,
                "lower_h": snapshot.lower_h,
                "upper_h": snapshot.upper_h,
                "as_of": snapshot.as_of.isoformat(),
            },
        )

    def _publish_alarm(self, alarm: Alarm) -> None:
        self._context.hub.publish(
            "alarm",
            {
                "machine_key": alarm.machine_key,
                "key": alarm.key,
                "is_open": alarm.cleared_at is None,
                "message": alarm.message,
            },
        )


def _dirty_from(
    known_ns: dict[str, int], newest_ns: dict[str, int], dirty: dict[str, int]
) -> int | None:
    """Earliest sample to read again: told by ingest, or seen to have come by another way."""
    told = [dirty[machine] for machine in newest_ns if machine in dirty]
    seen = [
        known_ns.get(machine, 0)
        for machine, time_ns in newest_ns.items()
        if time_ns > known_ns.get(machine, 0)
    ]
    return min([*told, *seen], default=None)


def _snapshot(
    fitted: FittedModel, judged: Judgements, column: int, newest_ns: int, now: datetime
) -> HealthSnapshot:
    window, rul = judged.window, judged.rul
    start, last = int(judged.lives.start[column]), int(judged.newest[column])
    of_life = slice(start, last + 1)
    first_ns = int(window.first_ns[of_life, column][window.first_ns[of_life, column] > 0].min())
    last_ns = int(window.last_ns[last, column])
    contributions = [
        [signal, round(float(z), 2)]
        for signal, z in zip(judged.signals, judged.deviation[:, column], strict=True)
        if np.isfinite(z)
    ]
    return HealthSnapshot(
        machine_key=window.block.machines[column],
        as_of=from_ns(last_ns),
        computed_at=now,
        health_pct=_known(judged.health_pct[column]),
        anomaly_score=_known(judged.scores.score[last, column]),
        remaining_useful_life_h=_known(rul.median_h[column]),
        lower_h=_known(rul.lower_h[column]),
        upper_h=_known(rul.upper_h[column]),
        survival=kept_survival(rul, column),
        contributions=sorted(contributions, key=lambda pair: -abs(pair[1])),
        samples_from=from_ns(first_ns),
        samples_to=from_ns(last_ns),
        n_samples=int(window.count[of_life, column].sum()),
        note=_note(judged, column, last, newest_ns),
        model_version=fitted.version,
    )


def _note(judged: Judgements, column: int, last: int, newest_ns: int) -> str | None:
    window, standstill_h = judged.window, float(judged.lives.standstill_h[column])
    notes = []
    if standstill_h > 0.0:
        back_at = from_ns(window.start_ns + int(judged.lives.start[column]) * window.step_ns)
        notes.append(
            f"judged from {back_at:%Y-%m-%d %H:%M} UTC on, after a standstill of "
            f"{standstill_h:.0f} h"
        )
    if newest_ns - int(window.last_ns[last, column]) >= SILENT_STEPS * window.step_ns:
        good_at = from_ns(int(window.last_ns[last, column]))
        notes.append(
            f"no good sample since {good_at:%Y-%m-%d %H:%M} UTC: it may stand still; check it "
            "and its sensors"
        )
    if (said := judged.rul.note[column]) is not None:
        notes.append(said)
    return "; ".join(notes) or None


def kept_survival(rul: RulEstimate, column: int) -> list[list[float]]:
    """Thin out a survival to the hours that a snapshot keeps.

    Parameters
    ----------
    rul : RulEstimate
        Of several machines.
    column : int
        Which machine.

    Returns
    -------
    list of pairs
        Hours ahead, strictly rising from 0, and the probability of still running; empty where it
        is not known.
    """
    row = rul.survival[column]
    if not np.isfinite(row).all():
        return []
    end_h = float(rul.horizon_h[-1])
    ahead_h = _NEAR_H[end_h > _NEAR_H]
    last_near_h = max(float(ahead_h[-1]), 1.0) if ahead_h.size else 1.0
    ahead_h = np.r_[ahead_h, np.geomspace(min(last_near_h, end_h), end_h, _N_FAR)]
    ahead_h = np.unique(np.round(ahead_h, 2))  # hours that read the same would not rise
    running = np.interp(ahead_h, rul.horizon_h, row)
    return [[float(h), round(float(p), 6)] for h, p in zip(ahead_h, running, strict=True)]


def _add_evidence(writing: Session, snapshot: HealthSnapshot) -> None:
    id_ = samples_id(snapshot.machine_key, to_ns(snapshot.samples_from), to_ns(snapshot.samples_to))
    step = Step(
        "samples",
        id_,
        "samples of its present life",
        float(snapshot.n_samples),
        "count",
        METHOD.format(version=snapshot.model_version),
    )
    add_evidence(writing, "health", str(snapshot.id), [step])


def _says_the_same(new: HealthSnapshot, old: HealthSnapshot) -> bool:
    """Whether two judgements differ in nothing that came from samples."""
    return all(getattr(new, name) == getattr(old, name) for name in _SAID)


def _distance(new: float | None, old: float | None) -> float:
    if new is None or old is None:
        return 0.0 if new is old else np.inf
    return abs(new - old)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
