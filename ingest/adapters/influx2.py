"""Telemetry in a bucket of InfluxDB 2, through its own client.

Only the parts of the client that keep what they are given are used: synchronous writes of bytes
that are already line protocol, and Flux queries whose values are bound (``params``, sent as the
query's ``extern`` part), never text. Its batching mode drops what it can't send in time and
stays unused.

The write path is exercised over real HTTP against our own receiver, which speaks InfluxDB 2's
write API. The Flux queries are exercised only against recorded answers in the documented
annotated CSV form: no InfluxDB 2 server was at hand to run them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

import numpy as np
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from ingest.adapters.history import HistoryFromSamples
from ingest.adapters.influx_lines import MAX_TIME_NS, MIN_TIME_NS, batch_from_columns, bodies_of
from ingest.errors import StoreRejectedError, StoreUnavailableError
from ingest.telemetry import Series, TelemetryBatch
from ingest.telemetry.line_writer import MEASUREMENT

_TIMEOUT_MS: Final = (5_000, 30_000)

# Each series adds three comparisons to the filter; Flux compiles a query of this size in
# milliseconds, and all of it can be pushed down to the storage engine.
_SERIES_PER_QUERY: Final = 50

_KEPT: Final = '|> keep(columns: ["_time", "_value", "_field", "site", "machine", "signal"])'


class Influx2Store(HistoryFromSamples):
    """A `TelemetryStore` in one InfluxDB 2 bucket. Its methods may be called from any thread.

    Nothing is reached by constructing it, and the bucket must be there.

    Parameters
    ----------
    url : str
        Address of the server, for example ``http://127.0.0.1:8086``.
    org, bucket : str
        Where the samples go.
    token : str
        A token that may read and write the bucket.
    """

    def __init__(self, url: str, org: str, bucket: str, *, token: str) -> None:
        self._url = url
        self._org = org
        self._bucket = bucket
        self._client: Any = InfluxDBClient(url=url, token=token, org=org, timeout=_TIMEOUT_MS)
        self._writer: Any = self._client.write_api(write_options=SYNCHRONOUS)
        self._reader: Any = self._client.query_api()

    def write(self, batch: TelemetryBatch) -> None:
        """Keep every sample of the batch; on return the server has answered for them.

        Parameters
        ----------
        batch : TelemetryBatch
            Validated samples.

        Raises
        ------
        StoreUnavailableError
            If the server can't be reached, refuses the token or has no such bucket.
        StoreRejectedError
            If the server will never take this data.
        """
        for body in bodies_of(batch):
            try:
                self._writer.write(
                    bucket=self._bucket, record=body, write_precision=WritePrecision.NS
                )
            except ApiException as error:
                if error.status in {400, 422}:
                    msg = (
                        f"{self._url}, bucket {self._bucket}: the store refuses it: {error.message}"
                    )
                    raise StoreRejectedError(msg) from error
                raise self._unavailable(error) from error
            except urllib3.exceptions.HTTPError as error:
                raise self._unavailable(error) from error

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
        start_ns, end_ns = max(start_ns, MIN_TIME_NS), min(end_ns, MAX_TIME_NS)
        if end_ns <= start_ns:
            return TelemetryBatch.empty(tuple(dict.fromkeys(series)))
        return self._select(series, "", {"_start": start_ns, "_stop": end_ns})

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
        # The last value may be older than the last quality, where the newest sample has none.
        both = self._select(series, "|> last()", {"_start": MIN_TIME_NS, "_stop": MAX_TIME_NS})
        is_newest = np.ones(len(both), dtype=np.bool_)
        is_newest[:-1] = both.series_index[1:] != both.series_index[:-1]
        return both.take(is_newest)

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
        query = f"""from(bucket: _bucket)
            |> range(start: time(v: _start), stop: time(v: _stop))
            |> filter(fn: (r) => r._measurement == "{MEASUREMENT}" and r._field == "quality")
            |> last()
            {_KEPT}"""
        bound = {"_bucket": self._bucket, "_start": MIN_TIME_NS, "_stop": MAX_TIME_NS}
        return tuple(sorted({_series_of(record) for record in self._records(query, bound)}))

    def close(self) -> None:
        """Release the connections."""
        self._writer.close()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _select(
        self, series: Sequence[Series], last_step: str, window: dict[str, int]
    ) -> TelemetryBatch:
        table = tuple(dict.fromkeys(series))
        records: list[dict[str, str]] = []
        for first in range(0, len(table), _SERIES_PER_QUERY):
            some = table[first : first + _SERIES_PER_QUERY]
            wanted = " or ".join(
                f"(r.site == _site{place} and r.machine == _machine{place}"
                f" and r.signal == _signal{place})"
                for place in range(len(some))
            )
            bound = {
                f"_{tag}{place}": name
                for place, each in enumerate(some)
                for tag, name in each._asdict().items()
            }
            query = f"""from(bucket: _bucket)
                |> range(start: time(v: _start), stop: time(v: _stop))
                |> filter(fn: (r) => r._measurement == "{MEASUREMENT}")
                |> filter(fn: (r) => r._field == "value" or r._field == "quality")
                |> filter(fn: (r) => {wanted})
                {last_step}
                {_KEPT}"""
            records.extend(self._records(query, bound | window | {"_bucket": self._bucket}))
        return _batch_from_records(table, records)

    def _records(self, query: str, bound: dict[str, Any]) -> Iterator[dict[str, str]]:
        """Run Flux with bound parameters and give each record of its annotated CSV by column."""
        try:
            columns: list[str] | None = None
            for row in self._reader.query_csv(query, params=bound):
                if row[0].startswith("#"):
                    columns = None
                elif columns is None:
                    columns = row
                else:
                    record = dict(zip(columns, row, strict=False))
                    if "error" in record:
                        raise self._unavailable(record["error"])
                    yield record
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, cause: Exception | str) -> StoreUnavailableError:
        if isinstance(cause, ApiException):
            what = f"InfluxDB answered {cause.status} ({cause.message})"
        else:
            what = f"InfluxDB did not answer ({cause})"
        return StoreUnavailableError(
            f"{self._url}, organisation {self._org}, bucket {self._bucket}: {what}; check url, "
            "org and bucket, and that the token may read and write the bucket"
        )


def _series_of(record: dict[str, str]) -> Series:
    return Series(record["site"], record["machine"], record["signal"])


def _batch_from_records(
    table: tuple[Series, ...], records: Sequence[dict[str, str]]
) -> TelemetryBatch:
    """Join the records of the two fields, which Flux keeps in tables of their own."""
    if not records:
        return TelemetryBatch.empty(table)
    row_of = {series: row for row, series in enumerate(table)}
    series_index = np.array([row_of[_series_of(record)] for record in records], dtype=np.uint32)
    # RFC 3339 in UTC; numpy reads it to the nanosecond, but warns about the letter.
    times = np.array([record["_time"].rstrip("Z") for record in records], dtype="datetime64[ns]")
    number = np.array([float(record["_value"]) for record in records])
    is_value = np.array([record["_field"] == "value" for record in records])
    keys, sample = np.unique(
        np.stack([series_index.astype(np.int64), times.astype(np.int64)], axis=1),
        axis=0,
        return_inverse=True,
    )
    value, quality = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    value[sample[is_value]] = number[is_value]
    quality[sample[~is_value]] = number[~is_value]
    return batch_from_columns(table, keys[:, 0].astype(np.uint32), keys[:, 1], value, quality)
