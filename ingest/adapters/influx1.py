"""Telemetry in InfluxDB 1.x, or in a newer one through the same two endpoints.

Writes go to ``/write`` as line protocol, reads to ``/query`` as InfluxQL whose values are bound
parameters, never text. InfluxDB 1.x answers a write after its log has been synced
(``wal-fsync-delay = "0s"``, its default; leave it so). Exercised against InfluxDB 1.6; the v1
endpoints of InfluxDB 2 and 3 are the same by their documentation, but were not at hand.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self
from urllib.parse import urlencode

import numpy as np
import urllib3

from ingest.adapters.history import HistoryFromSamples
from ingest.adapters.influx_lines import MAX_TIME_NS, MIN_TIME_NS, batch_from_columns, bodies_of
from ingest.errors import StoreRejectedError, StoreUnavailableError
from ingest.telemetry import Series, TelemetryBatch, is_legal_name
from ingest.telemetry.line_writer import MEASUREMENT

_TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=30.0)

# Keeps a request below InfluxDB's limits for forms while saving round trips.
_SERIES_PER_QUERY: Final = 100

_WHERE: Final = "site = $site{0} AND machine = $machine{0} AND signal = $signal{0}"

_SERIES_KEY: Final = ("site", "machine", "signal")


class Influx1Store(HistoryFromSamples):
    """A `TelemetryStore` in one InfluxDB database. Its methods may be called from any thread.

    Nothing is reached or made by constructing it; `setup` makes the database.

    Parameters
    ----------
    url : str
        Address of the server, for example ``http://127.0.0.1:8086``.
    database : str
        The database.
    user, password : str, optional
        Credentials, if the server asks for them.

    Raises
    ------
    ValueError
        If the database has a name that would need quoting.
    """

    def __init__(
        self, url: str, database: str, *, user: str | None = None, password: str | None = None
    ) -> None:
        if not is_legal_name(database):
            msg = f"database {database!r}: name it with letters, digits and _ . - only"
            raise ValueError(msg)
        self._url = url.rstrip("/")
        self._database = database
        headers = (
            {} if user is None else urllib3.make_headers(basic_auth=f"{user}:{password or ''}")
        )
        self._pool = urllib3.PoolManager(
            maxsize=8, retries=False, timeout=_TIMEOUT, headers=dict(headers)
        )

    def setup(self) -> None:
        """Make the database if it is not there.

        Raises
        ------
        StoreUnavailableError
            If the server can't be reached, or won't make it for this user.
        """
        # An identifier can't be bound; the constructor has checked that it is harmless.
        for _ in self._results(f'CREATE DATABASE "{self._database}"', {}):
            pass

    def write(self, batch: TelemetryBatch) -> None:
        """Keep every sample of the batch; on return the server has synced them.

        Parameters
        ----------
        batch : TelemetryBatch
            Validated samples.

        Raises
        ------
        StoreUnavailableError
            If the server can't be reached, refuses the credentials or has no such database.
        StoreRejectedError
            If the server will never take this data.
        """
        for body in bodies_of(batch):
            response = self._send(
                "POST",
                f"/write?{urlencode({'db': self._database, 'precision': 'ns'})}",
                body,
                "text/plain; charset=utf-8",
            )
            if response.status in {200, 204}:
                continue
            message = _message_in(response.data)
            if response.status in {400, 422}:
                msg = f"{self._url}, database {self._database}: the store refuses it: {message}"
                raise StoreRejectedError(msg)
            raise self._unavailable(response.status, message)

    def read(self, series: Sequence[Series], start_ns: int, end_ns: int) -> TelemetryBatch:
        """Read a window as columns.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table, in this order.
        start_ns, end_ns : int
            Half-open window ``start <= source time < end``. [ns]

        Returns
        -------
        TelemetryBatch
            Samples sorted by series, then by source time, each exactly once.

        Raises
        ------
        StoreUnavailableError
            If the server can't be reached or does not answer the query.
        """
        start_ns, end_ns = max(start_ns, MIN_TIME_NS), min(end_ns, MAX_TIME_NS + 1)
        if end_ns <= start_ns:
            return TelemetryBatch.empty(tuple(dict.fromkeys(series)))
        # The end is asked for inclusively, so that the last moment InfluxDB knows can be read.
        return self._select(
            series,
            " AND time >= $start AND time <= $last",
            {"start": start_ns, "last": end_ns - 1},
        )

    def latest(self, series: Sequence[Series]) -> TelemetryBatch:
        """Newest sample of each series.

        Parameters
        ----------
        series : sequence of Series
            What to read; this becomes the series table.

        Returns
        -------
        TelemetryBatch
            At most one sample for each series, in the order given.

        Raises
        ------
        StoreUnavailableError
            If the server can't be reached or does not answer the query.
        """
        return self._select(series, " ORDER BY time DESC LIMIT 1", {})

    def series(self) -> tuple[Series, ...]:
        """Every series ever written and not yet expired, sorted.

        Returns
        -------
        tuple of Series
            Without repeats.

        Raises
        ------
        StoreUnavailableError
            If the server can't be reached or does not answer the query.
        """
        query = f"SELECT last(quality) FROM {MEASUREMENT} GROUP BY {', '.join(_SERIES_KEY)}"  # noqa: S608 - constants
        return tuple(
            sorted(
                Series(*(table["tags"][tag] for tag in _SERIES_KEY))
                for result in self._results(query, {})
                for table in result.get("series", ())
            )
        )

    def close(self) -> None:
        """Release the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _select(
        self, series: Sequence[Series], condition: str, bounds: dict[str, int]
    ) -> TelemetryBatch:
        table = tuple(dict.fromkeys(series))
        rows: list[int] = []
        lengths: list[int] = []
        samples: list[tuple[int, float | None, float | None]] = []
        for first in range(0, len(table), _SERIES_PER_QUERY):
            some = table[first : first + _SERIES_PER_QUERY]
            query = ";".join(
                f"SELECT value, quality FROM {MEASUREMENT} WHERE {_WHERE.format(place)}{condition}"  # noqa: S608 - constants and $names
                for place in range(len(some))
            )
            bound = {
                f"{tag}{place}": name
                for place, each in enumerate(some)
                for tag, name in each._asdict().items()
            }
            for result in self._results(query, bound | bounds):
                for answer in result.get("series", ()):
                    rows.append(first + result["statement_id"])
                    lengths.append(len(answer["values"]))
                    samples.extend(answer["values"])
        if not samples:
            return TelemetryBatch.empty(table)
        time_ns, value, quality = zip(*samples, strict=True)
        return batch_from_columns(
            table,
            np.repeat(np.array(rows, dtype=np.uint32), lengths),
            np.array(time_ns, dtype=np.int64),
            np.array(value, dtype=np.float64),
            np.array(quality, dtype=np.float64),
        )

    def _results(self, query: str, bound: dict[str, str | int]) -> Iterator[dict[str, Any]]:
        """Run InfluxQL with bound parameters and give its results as they come."""
        form = {
            "db": self._database,
            "q": query,
            "params": json.dumps(bound),
            "epoch": "ns",
            "chunked": "true",
        }
        response = self._send(
            "POST", "/query", urlencode(form).encode(), "application/x-www-form-urlencoded"
        )
        if response.status != 200:
            raise self._unavailable(response.status, _message_in(response.data))
        for line in response.data.splitlines():
            document = json.loads(line)
            for result in document.get("results", ()):
                if "error" in result:
                    raise self._unavailable(200, result["error"])
                yield result
            if "error" in document:
                raise self._unavailable(200, document["error"])

    def _send(
        self, method: str, path: str, body: bytes, content_type: str
    ) -> urllib3.BaseHTTPResponse:
        headers = {**self._pool.headers, "Content-Type": content_type}
        try:
            return self._pool.request(method, self._url + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            msg = (
                f"{self._url}: InfluxDB did not answer ({error}); "
                "check that it runs and that url is right"
            )
            raise StoreUnavailableError(msg) from error

    def _unavailable(self, status: int, message: str) -> StoreUnavailableError:
        if status in {401, 403}:
            remedy = "check user and password_file, and the user's rights on the database"
        elif "database not found" in message:
            remedy = f'make it with: CREATE DATABASE "{self._database}"'
        else:
            remedy = "see the server's log"
        return StoreUnavailableError(
            f"{self._url}, database {self._database}: "
            f"InfluxDB answered {status} ({message}); {remedy}"
        )


def _message_in(body: bytes) -> str:
    """Find what an answer of InfluxDB says went wrong."""
    try:
        document = json.loads(body)
    except ValueError:
        return body[:200].decode("utf-8", "replace").strip() or "no reason given"
    if isinstance(document, dict):
        return str(document.get("error") or document.get("message") or "no reason given")
    return "no reason given"
