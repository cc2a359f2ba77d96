"""What people ask of machines: which need me, why, how long have they left, what was measured."""

from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import AppContext
from api.health.readings import alarm_reading, health_reading, latest_values, model_card
from api.health.schemas import (
    AlarmReading,
    HealthHistory,
    HealthReading,
    MachineDetail,
    MachineState,
    MachineSummary,
    SampleSeries,
)
from api.health.thinning import thin_keeping_extremes
from api.problem import BadRequestError, NotFoundError
from api.registry.as_of import known
from api.registry.catalogue import MachineFacts, machine_facts
from api.registry.database import read_session
from api.registry.models import Alarm, HealthSnapshot
from api.shapes import Money
from api.snapshots import failure_probability, latest_health
from api.times import NS_PER_S, from_ns, to_ns
from ingest.telemetry import Series, unit_of

DEFAULT_WINDOW: Final = timedelta(days=7)
MAX_POINTS: Final = 20_000
STATE_ORDER: Final[tuple[MachineState, ...]] = ("alarm", "watch", "unknown", "normal")
WATCH_HEALTH_PCT: Final = 50.0


class HealthService:
    """Answers about machines.

    Parameters
    ----------
    context : AppContext
        Stores of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def machines(self) -> list[MachineSummary]:
        """Every machine with its newest judgement.

        Returns
        -------
        list of MachineSummary
            Those that need somebody first; those that send nothing last.
        """
        with read_session(self._context.engine) as reading:
            facts = machine_facts(reading, self._context.now())
            health = latest_health(reading)
            alarms = _open_alarms(reading)
        newest = self._context.newest.by_machine()
        summaries = [
            MachineSummary(
                **self._summary(machine, health.get(key), alarms.get(key), newest.get(key))
            )
            for key, machine in facts.items()
        ]
        return sorted(
            summaries,
            key=lambda one: (not one.is_connected, STATE_ORDER.index(one.state), one.key),
        )

    def machine(self, key: str) -> MachineDetail:
        """One machine in full.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        MachineDetail
            With the newest value of every signal.

        Raises
        ------
        NotFoundError
            If there is no such machine.
        """
        with read_session(self._context.engine) as reading:
            machine = _find(machine_facts(reading, self._context.now()), key)
            snapshot = latest_health(reading).get(key)
            alarm = _open_alarms(reading).get(key)
        series = self._series_of(key)
        latest = self._context.store.latest(series)
        newest_ns = int(latest.source_time_ns.max()) if len(latest) else None
        fitted = self._context.models.newest().get(machine.kind)
        return MachineDetail(
            **self._summary(machine, snapshot, alarm, newest_ns),
            installed_on=machine.installed_on,
            downtime_cost_per_h=_money(machine.downtime_cost_per_h, machine),
            planned_visit_cost=_money(machine.planned_visit_cost, machine),
            planned_visit_h=machine.planned_visit_h,
            unplanned_repair_cost=_money(machine.unplanned_repair_cost, machine),
            unplanned_repair_h=machine.unplanned_repair_h,
            signals=latest_values(series, latest, snapshot, fitted),
            model_card=None if fitted is None else model_card(fitted),
        )

    def samples(
        self,
        machine_key: str,
        signal: str,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        max_points: int = 2000,
    ) -> SampleSeries:
        """Read samples of one signal, extremes kept.

        Parameters
        ----------
        machine_key : str
            Which machine.
        signal : str
            Which signal.
        from_at, to_at : datetime, optional
            The window, end excluded; the seven days up to the newest sample unless told.
        max_points : int
            At most so many points, from 2 to `MAX_POINTS`.

        Returns
        -------
        SampleSeries
            As columns.

        Raises
        ------
        NotFoundError
            If the machine or the signal is not known.
        BadRequestError
            If the window is empty or the number of points out of range.
        """
        if not 2 <= max_points <= MAX_POINTS:
            msg = f"max_points {max_points} is out of range; ask for 2 to {MAX_POINTS}"
            raise BadRequestError(msg)
        series = [one for one in self._series_of(machine_key) if one.signal == signal]
        if not series:
            msg = (
                f"no sample of {signal!r} of machine {machine_key!r} has been stored; "
                f"/v1/machines/{machine_key} lists its signals"
            )
            raise NotFoundError(msg)
        latest = self._context.store.latest(series)
        newest_ns = int(latest.source_time_ns.max()) + 1 if len(latest) else 1
        end_ns = newest_ns if to_at is None else _checked_ns(to_at)
        from_at = from_ns(end_ns) - DEFAULT_WINDOW if from_at is None else from_at
        start_ns = _checked_ns(from_at)
        if start_ns >= end_ns:
            msg = f"the window from {from_at} to {from_ns(end_ns)} is empty; end it after its start"
            raise BadRequestError(msg)
        batch = self._context.store.read(series, start_ns, end_ns)
        # One signal may come by two sites after a move; times decide.
        batch = batch.take(np.argsort(batch.source_time_ns, kind="stable"))
        rows = thin_keeping_extremes(
            batch.source_time_ns,
            batch.value,
            start_ns=start_ns,
            end_ns=end_ns,
            max_points=max_points,
        )
        chosen = batch.take(rows)
        return SampleSeries(
            machine_key=machine_key,
            signal=signal,
            unit=unit_of(signal),
            from_at=from_ns(start_ns),
            to_at=from_ns(end_ns),
            n_samples=len(batch),
            is_thinned=rows.size < len(batch),
            time_s=(chosen.source_time_ns / NS_PER_S).tolist(),
            value=[x if np.isfinite(x) else None for x in chosen.value.tolist()],
            quality=chosen.quality.tolist(),
        )

    def history(
        self,
        machine_key: str,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        max_points: int = 1000,
    ) -> HealthHistory:
        """Health of one machine through time.

        Parameters
        ----------
        machine_key : str
            Which machine.
        from_at, to_at : datetime, optional
            The window of `as_of`, end excluded; everything unless told.
        max_points : int
            At most so many judgements, evenly chosen; the newest is always there.

        Returns
        -------
        HealthHistory
            As columns, by time of the newest sample used.

        Raises
        ------
        NotFoundError
            If there is no such machine.
        BadRequestError
            If the number of points is out of range.
        """
        if not 2 <= max_points <= MAX_POINTS:
            msg = f"max_points {max_points} is out of range; ask for 2 to {MAX_POINTS}"
            raise BadRequestError(msg)
        wanted = (
            HealthSnapshot.id,
            HealthSnapshot.as_of,
            HealthSnapshot.health_pct,
            HealthSnapshot.anomaly_score,
            HealthSnapshot.remaining_useful_life_h,
            HealthSnapshot.lower_h,
            HealthSnapshot.upper_h,
        )
        statement = select(*wanted).where(HealthSnapshot.machine_key == machine_key)
        if from_at is not None:
            statement = statement.where(HealthSnapshot.as_of >= from_ns(_checked_ns(from_at)))
        if to_at is not None:
            statement = statement.where(HealthSnapshot.as_of < from_ns(_checked_ns(to_at)))
        with read_session(self._context.engine) as reading:
            _find(machine_facts(reading, self._context.now()), machine_key)
            found = reading.execute(statement.order_by(HealthSnapshot.id)).all()
        # Late samples judge a moment again: the last judgement of a moment stands.
        rows = sorted({row.as_of: row for row in found}.values(), key=lambda row: row.as_of)
        if len(rows) > max_points:
            places = np.unique(np.linspace(0, len(rows) - 1, max_points).round().astype(int))
            rows = [rows[place] for place in places.tolist()]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(wanted)
        return HealthHistory(
            machine_key=machine_key,
            snapshot_id=list(columns[0]),
            time_s=[moment.timestamp() for moment in columns[1]],
            health_pct=list(columns[2]),
            anomaly_score_ratio=list(columns[3]),
            remaining_useful_life_h=list(columns[4]),
            lower_h=list(columns[5]),
            upper_h=list(columns[6]),
        )

    def alarms(
        self, *, is_open: bool | None = None, machine_key: str | None = None
    ) -> list[AlarmReading]:
        """Alarms found in the samples.

        Parameters
        ----------
        is_open : bool, optional
            Only open ones, or only cleared ones.
        machine_key : str, optional
            Only those of this machine.

        Returns
        -------
        list of AlarmReading
            Newest first.
        """
        statement = known(Alarm).order_by(Alarm.raised_at.desc(), Alarm.key)
        if is_open is not None:
            statement = statement.where(
                Alarm.cleared_at.is_(None) if is_open else Alarm.cleared_at.is_not(None)
            )
        if machine_key is not None:
            statement = statement.where(Alarm.machine_key == machine_key)
        with read_session(self._context.engine) as reading:
            return [alarm_reading(alarm) for alarm in reading.scalars(statement)]

    def _series_of(self, machine_key: str) -> list[Series]:
        return [one for one in self._context.store.series() if one.machine == machine_key]

    def _summary(
        self,
        machine: MachineFacts,
        snapshot: HealthSnapshot | None,
        alarm: Alarm | None,
        newest_ns: int | None,
    ) -> dict[str, Any]:
        health = None if snapshot is None else health_reading(snapshot)
        return {
            "key": machine.key,
            "kind": machine.kind,
            "model": machine.model,
            "site_key": machine.site_key,
            "site_name": machine.site_name,
            "customer_key": machine.customer_key,
            "customer_name": machine.customer_name,
            "is_connected": newest_ns is not None,
            "newest_sample_at": None if newest_ns is None else from_ns(newest_ns),
            "state": self._state(health, alarm),
            "health": health,
            "open_alarm": None if alarm is None else alarm_reading(alarm),
        }

    def _state(self, health: HealthReading | None, alarm: Alarm | None) -> MachineState:
        if alarm is not None:
            return "alarm"
        if health is None or health.health_pct is None:
            return "unknown"
        settings = self._context.settings.health
        survival = [(at.ahead_h, at.survival_probability) for at in health.survival]
        probability = failure_probability(survival, settings.watch_days * 24.0)
        is_likely = (probability or 0.0) >= settings.watch_failure_ratio
        return "watch" if is_likely or health.health_pct < WATCH_HEALTH_PCT else "normal"


def _open_alarms(reading: Session) -> dict[str, Alarm]:
    is_open = known(Alarm).where(Alarm.cleared_at.is_(None)).order_by(Alarm.raised_at)
    return {alarm.machine_key: alarm for alarm in reading.scalars(is_open)}


def _find(machines: dict[str, MachineFacts], key: str) -> MachineFacts:
    if key not in machines:
        msg = f"there is no machine {key!r}; /v1/machines lists them"
        raise NotFoundError(msg)
    return machines[key]


def _money(amount: float, machine: MachineFacts) -> Money:
    return Money(amount=amount, currency=machine.currency)


def _checked_ns(moment: datetime) -> int:
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no time zone; write it as {moment.isoformat()}Z"
        raise BadRequestError(msg)
    time_ns = to_ns(moment)
    # DuckDB and InfluxDB both keep times in 64 bits; nothing was measured before 1970.
    if not 0 <= time_ns < 2**63:
        msg = f"{moment.isoformat()} is out of range; ask for a time between 1970 and 2262"
        raise BadRequestError(msg)
    return time_ns
