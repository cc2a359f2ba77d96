"""What every service needs, gathered once at start and passed down."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastapi import Request
from sqlalchemy import Engine

from api.arrivals import Arrivals
from api.events import EventHub
from api.fitted import ModelShelf
from api.history import HistoryCache
from api.newest import NewestSamples
from api.settings import Settings
from ingest.ports import TelemetryStore

if TYPE_CHECKING:
    from ingest.service import IngestService


def utc_now() -> datetime:
    """Give the present moment.

    Returns
    -------
    datetime
        Aware, in UTC.
    """
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class AppContext:
    """Stores, settings, clock and event hub of one running server.

    Parameters
    ----------
    engine : Engine
        The registry's database.
    store : TelemetryStore
        Where samples are kept.
    ingest : IngestService
        Takes samples in, and tells `arrivals` what was stored.
    settings : Settings
        Read once at start.
    hub : EventHub
        Where live events go.
    arrivals : Arrivals
        What came in since the worker last looked.
    newest : NewestSamples
        When each machine was last heard of.
    history : HistoryCache
        All business facts as columns.
    models : ModelShelf
        The fitted health models.
    now : callable
        The clock, aware UTC.
    """

    engine: Engine
    store: TelemetryStore
    ingest: "IngestService"
    settings: Settings
    hub: EventHub
    arrivals: Arrivals
    newest: NewestSamples
    history: HistoryCache
    models: ModelShelf
    now: Callable[[], datetime] = utc_now


def context_of(request: Request) -> AppContext:
    """Find the context of the application that got a request.

    Parameters
    ----------
    request : Request
        Any request to an application made by `api.app.create_app`.

    Returns
    -------
    AppContext
        Its context.

    Raises
    ------
    TypeError
        If the application was not made by `create_app`.
    """
    context = request.app.state.context
    if not isinstance(context, AppContext):
        msg = "api.context: app.state.context is not an AppContext; make the app with create_app"
        raise TypeError(msg)
    return context
