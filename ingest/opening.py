"""Opens the store that the settings name, and asks it one question, so that mistakes show early."""

from typing import assert_never

from ingest.ports import TelemetryStore
from ingest.secrets import read_secret
from ingest.settings import DuckDBSettings, Influx1Settings, Influx2Settings
from ingest.telemetry import Series

_NOBODY = Series("none", "none", "none")


def open_store(
    settings: DuckDBSettings | Influx2Settings | Influx1Settings,
) -> TelemetryStore:
    """Open a store and see that it answers.

    Parameters
    ----------
    settings : DuckDBSettings, Influx2Settings or Influx1Settings
        Which store, and where.

    Returns
    -------
    TelemetryStore
        Ready to be used; the caller closes it.
    """
    # Each library is loaded only where it is used: together they take half a second
    # and 40 MB.
    store: TelemetryStore
    match settings:
        case DuckDBSettings():
            from ingest.adapters.duckdb_store import DuckDBStore

            store = DuckDBStore(settings.path, memory_limit_mib=settings.memory_limit_mib)
        case Influx2Settings():
            from ingest.adapters.influx2 import Influx2Store

            store = Influx2Store(
                settings.url, settings.org, settings.bucket, token=read_secret(settings.token_file)
            )
        case Influx1Settings():
            from ingest.adapters.influx1 import Influx1Store

            password_file = settings.password_file
            store = Influx1Store(
                settings.url,
                settings.database,
                user=settings.user,
                password=None if password_file is None else read_secret(password_file),
            )
        case _:
            assert_never(settings)
    try:
        store.latest([_NOBODY])
    except BaseException:
        store.close()
        raise
    return store
