"""What births tell: which metric is which series, and of what type.

Kept on disk, because a message that the broker sends again after our own restart may name its
metrics by alias only, and the birth that explains them was acknowledged long ago.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.telemetry.batch import Priority, Series
from ingest.telemetry.sparkplug import MAX_METRICS, DataType, Metrics
from ingest.telemetry.sparkplug_layout import PayloadReader

logger = logging.getLogger(__name__)

MAX_SHAPES: Final = 256
"""Orders of metrics in payloads that are remembered for each device; most have one or a few."""

MAX_FILE_BYTES: Final = 20_000_000
"""Of the births of one node; more were not written by us."""

NO_NUMBER: Final = frozenset({
    DataType.STRING, DataType.DATETIME, DataType.TEXT, DataType.UUID, DataType.DATASET,
    DataType.BYTES, DataType.FILE, DataType.TEMPLATE,
})  # fmt: skip


class Wanted(NamedTuple):
    """A metric that is asked for."""

    series: Series
    priority: Priority


class Metric(NamedTuple):
    """One metric as its birth told it; `wanted` is None if it is not asked for."""

    name: str
    alias: int
    datatype: int
    wanted: Wanted | None


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """How the metrics of a payload, in their order, become samples.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_samples,)
        Metrics to take.
    is_all : bool
        Whether that is all of them.
    series : tuple of Series
        Series that occur, without repeats.
    series_index : ndarray of uint32, shape (n_samples,)
        Row of `series` for each metric taken.
    datatype : ndarray of uint8, shape (n_metrics,)
        Type of every metric as its birth told it, 0 where it did not.
    is_by_alias : ndarray of bool, shape (n_samples,)
        Whether only the alias says which metric it is.
    priority_of : dict of Series to Priority
        Priorities of the series, empty where all have the one of the topic.
    unknown : tuple of int
        Aliases that no birth explains.
    """

    rows: npt.NDArray[np.int64]
    is_all: bool
    series: tuple[Series, ...]
    series_index: npt.NDArray[np.uint32]
    datatype: npt.NDArray[np.uint8]
    is_by_alias: npt.NDArray[np.bool_]
    priority_of: dict[Series, Priority]
    unknown: tuple[int, ...]


@dataclass(slots=True)
class Births:
    """Metrics of a node itself or of one of its devices.

    Parameters
    ----------
    want : callable
        Says which series a metric is by its name and type, None if it is not asked for.
    priority : {"raw", "alarm"}
        Of the topic.
    """

    want: Callable[[str, int], Wanted | None]
    priority: Priority
    by_name: dict[str, Metric] = field(default_factory=dict)
    by_alias: dict[int, Metric] = field(default_factory=dict)
    reader: PayloadReader = field(default_factory=PayloadReader)
    _shapes: dict[tuple[tuple[str, ...], tuple[int, ...]], Shape] = field(default_factory=dict)
    _last: tuple[tuple[str, ...], tuple[int, ...], Shape] | None = None

    def learn(self, told: "list[tuple[str, int, int]]") -> None:
        """Take a birth in place of what was known.

        Parameters
        ----------
        told : list of tuple
            Name, alias (-1 for none) and type of each metric.
        """
        known = [
            Metric(name, alias, datatype, self.want(name, datatype))
            for name, alias, datatype in told
            if name
        ]
        self.by_name = {metric.name: metric for metric in known}
        self.by_alias = {metric.alias: metric for metric in known if metric.alias >= 0}
        self._shapes.clear()
        self._last = None

    def told(self) -> "list[tuple[str, int, int]]":
        """Give what was learned.

        Returns
        -------
        list of tuple
            Name, alias and type of each metric.
        """
        return [(one.name, one.alias, one.datatype) for one in self.by_name.values()]

    def series(self) -> list[Series]:
        """Series that these metrics are.

        Returns
        -------
        list of Series
            Those asked for that are numbers.
        """
        return [
            metric.wanted.series
            for metric in self.by_name.values()
            if metric.wanted is not None and metric.datatype not in NO_NUMBER
        ]

    def shape(self, metrics: Metrics) -> Shape:
        """Find out which metrics of a payload are which series.

        Parameters
        ----------
        metrics : Metrics
            The payload's.

        Returns
        -------
        Shape
            The same object for the same metrics in the same order.
        """
        last = self._last
        # The same objects come again from a layout, and need not be compared one by one.
        if last is not None and last[0] is metrics.names and last[1] is metrics.aliases:
            return last[2]
        key = metrics.names, metrics.aliases
        known = self._shapes.get(key)
        if known is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            known = self._shapes[key] = self._new_shape(metrics)
        self._last = (*key, known)
        return known

    def _new_shape(self, metrics: Metrics) -> Shape:
        rows: list[int] = []
        row_of: dict[Series, int] = {}
        index: list[int] = []
        types = np.zeros(len(metrics), dtype=np.uint8)
        priority_of: dict[Series, Priority] = {}
        unknown: list[int] = []
        for row, (name, alias) in enumerate(zip(metrics.names, metrics.aliases, strict=True)):
            metric = self.by_name.get(name) if name else self.by_alias.get(alias)
            if metric is not None:
                types[row] = metric.datatype
            elif not name:
                unknown.append(alias)
            wanted = metric.wanted if metric is not None else self.want(name, 0) if name else None
            if wanted is not None:
                rows.append(row)
                index.append(row_of.setdefault(wanted.series, len(row_of)))
                if wanted.priority != self.priority:
                    priority_of[wanted.series] = wanted.priority
        return Shape(
            np.array(rows, dtype=np.int64),
            len(rows) == len(metrics),
            tuple(row_of),
            np.array(index, dtype=np.uint32),
            types,
            np.array([not metrics.names[row] for row in rows], dtype=bool),
            priority_of,
            tuple(dict.fromkeys(unknown)),
        )


@dataclass(slots=True)
class BirthFiles:
    """Births on disk, one file for each node; without a folder nothing is kept.

    Parameters
    ----------
    folder : Path or None
        Where they lie.
    """

    folder: Path | None
    _written: dict[Path, bytes] = field(default_factory=dict)

    def load(self, group: str, node: str) -> "dict[str, list[tuple[str, int, int]]]":
        """Read the births of a node.

        Parameters
        ----------
        group, node : str
            The node.

        Returns
        -------
        dict of str to list
            Name, alias and type of each metric by device, "" for the node itself; empty if there
            is nothing that can be read.
        """
        path = self._path(group, node)
        if path is None:
            return {}
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                return {}
            content = path.read_bytes()
            document = json.loads(content)
            births = {
                str(device): [(str(name), int(alias), int(kind)) for name, alias, kind in told]
                for device, told in document["births"].items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("%s can't be read (%s); the node is asked again", path, error)
            return {}
        self._written[path] = content
        return {device: told[:MAX_METRICS] for device, told in births.items()}

    def save(self, group: str, node: str, births: "dict[str, list[tuple[str, int, int]]]") -> None:
        """Keep the births of a node; done when they survive a power cut, or were told not to.

        Parameters
        ----------
        group, node : str
            The node.
        births : dict of str to list
            As `load` gives them.
        """
        path = self._path(group, node)
        if path is None:
            return
        content = json.dumps({"group": group, "node": node, "births": births}).encode()
        if self._written.get(path) == content:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_bytes(content)
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            logger.warning(
                "%s can't be written: %s; after a restart the node is asked", path, error
            )
            with contextlib.suppress(OSError):
                path.with_suffix(".new").unlink(missing_ok=True)
            return
        self._written[path] = content

    def nodes(self) -> Iterator[tuple[str, str]]:
        """Find the nodes whose births are kept.

        Yields
        ------
        tuple of (str, str)
            Group and node.
        """
        for path in () if self.folder is None else sorted(self.folder.glob("*.json")):
            try:
                if path.stat().st_size <= MAX_FILE_BYTES:
                    document = json.loads(path.read_bytes())
                    yield str(document["group"]), str(document["node"])
            except (OSError, ValueError, TypeError, KeyError) as error:
                logger.warning(
                    "%s can't be read (%s); the node is asked when it speaks", path, error
                )

    def _path(self, group: str, node: str) -> Path | None:
        if self.folder is None:
            return None
        # A node may be called anything that a topic can carry, a file not.
        name = hashlib.sha256(f"{group}/{node}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self.folder / f"{name}.json"
