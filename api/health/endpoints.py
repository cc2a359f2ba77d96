"""`/v1/machines` and `/v1/alarms`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.health.schemas import (
    AlarmReading,
    HealthHistory,
    MachineDetail,
    MachineSummary,
    SampleSeries,
)
from api.health.service import HealthService
from api.parameters import Context, Cursor, FromAt, Limit, MaxPoints, ToAt
from api.shapes import Page, page_of

router = APIRouter(prefix="/v1", tags=["machines"])

MachineKey = Annotated[str, Path(description="Key of the machine, its name in telemetry.")]


@router.get("/machines", summary="Every machine with its newest judgement")
def list_machines(
    context: Context, limit: Limit = 100, cursor: Cursor = None
) -> Page[MachineSummary]:
    """Those that need somebody come first, those that send nothing last."""
    machines = HealthService(context).machines()
    return page_of(machines, lambda machine: machine.key, limit=limit, cursor=cursor)


@router.get("/machines/{key}", summary="One machine in full")
def read_machine(context: Context, key: MachineKey) -> MachineDetail:
    """With the newest value of every signal, its costs, and how its health model was made."""
    return HealthService(context).machine(key)


@router.get("/machines/{key}/signals/{signal}/samples", summary="Samples of one signal")
def read_samples(
    context: Context,
    key: MachineKey,
    signal: Annotated[str, Path(description="Name of the signal, ending in its unit.")],
    from_at: FromAt = None,
    to_at: ToAt = None,
    max_points: MaxPoints = 2000,
) -> SampleSeries:
    """Where there are more samples than points, the extremes of each slice of time are kept."""
    return HealthService(context).samples(key, signal, from_at, to_at, max_points)


@router.get("/machines/{key}/health", summary="Health of one machine through time")
def read_health(
    context: Context,
    key: MachineKey,
    from_at: FromAt = None,
    to_at: ToAt = None,
    max_points: MaxPoints = 1000,
) -> HealthHistory:
    """Health, anomaly score and life left with its interval, as columns."""
    return HealthService(context).history(key, from_at, to_at, max_points)


@router.get("/alarms", summary="Alarms found in the samples")
def list_alarms(
    context: Context,
    is_open: Annotated[
        bool | None, Query(description="Only open ones, or only cleared ones.")
    ] = None,
    machine: Annotated[str | None, Query(description="Only those of this machine.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AlarmReading]:
    """Newest first; raising and clearing are versions of one alarm."""
    alarms = HealthService(context).alarms(is_open=is_open, machine_key=machine)
    return page_of(alarms, lambda alarm: alarm.key, limit=limit, cursor=cursor)
