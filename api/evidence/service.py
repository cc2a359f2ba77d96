"""Resolves a number, step by step, down to the samples and facts it came from."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, get_args
from urllib.parse import quote

import numpy as np
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from api.context import AppContext
from api.evidence.edges import Step, evidence_url, parse_samples_id
from api.evidence.records import Record, load_records
from api.evidence.schemas import EvidenceKind, EvidenceNode, SampleEnds, SampleWindow
from api.problem import BadRequestError, NotFoundError
from api.registry.database import read_session
from api.registry.models import EvidenceEdge
from api.times import from_ns
from ingest.telemetry import Series

Name = tuple[EvidenceKind, str]

KINDS: Final[tuple[EvidenceKind, ...]] = get_args(EvidenceKind)

MAX_DEPTH: Final = 12
MAX_NODES: Final = 5000
"""More than any customer of the demo has under one risk; past it children are counted only."""


@dataclass(slots=True, eq=False)
class _Graph:
    """Everything reachable from the root, each thing once."""

    as_of: datetime | None = None
    seen: set[Name] = field(default_factory=set)
    records: dict[Name, Record] = field(default_factory=dict)
    steps: dict[Name, list[Step]] = field(default_factory=dict)
    samples: dict[str, SampleWindow | None] = field(default_factory=dict)


class EvidenceService:
    """Answers where a number came from.

    Parameters
    ----------
    context : AppContext
        Stores of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._engine = context.engine
        self._store = context.store

    def resolve(self, kind: str, id_: str, max_depth: int = 6) -> EvidenceNode:
        """Follow a number down to what it came from.

        Facts are shown as they were known when the number was computed, if the number is a risk
        or one of its drivers, else as they are known today.

        Parameters
        ----------
        kind : str
            What the number is, one of `KINDS`.
        id_ : str
            Its name among its kind.
        max_depth : int
            Steps to follow, from 0 to `MAX_DEPTH`.

        Returns
        -------
        EvidenceNode
            The number with everything under it.

        Raises
        ------
        BadRequestError
            If the kind or the depth is not one of ours.
        NotFoundError
            If nothing is recorded under this name.
        """
        if kind not in KINDS:
            msg = f"evidence of kind {kind!r} is not kept; ask for one of {', '.join(KINDS)}"
            raise BadRequestError(msg)
        if not 0 <= max_depth <= MAX_DEPTH:
            msg = f"depth {max_depth} is out of range; ask for 0 to {MAX_DEPTH} steps"
            raise BadRequestError(msg)
        root: Name = (kind, id_)
        with read_session(self._engine) as session:
            graph = self._explore(session, root, max_depth)
        if root not in graph.records and graph.samples.get(id_) is None:
            msg = f"there is no {kind} {id_!r}; follow a link from a page or a list"
            raise NotFoundError(msg)
        return self._tree(graph, root, None, max_depth, (root,))

    def _explore(self, session: Session, root: Name, max_depth: int) -> _Graph:
        graph = _Graph()
        level: set[Name] = {root}
        for _ in range(max_depth + 1):
            graph.seen |= level
            self._load(session, graph, level)
            if root in level and root in graph.records and root[0] in {"risk", "driver"}:
                graph.as_of = graph.records[root].at
            reached = {(step.kind, step.id) for name in level for step in graph.steps.get(name, ())}
            level = reached - graph.seen
            if not level or len(graph.seen) > MAX_NODES:
                break
        return graph

    def _load(self, session: Session, graph: _Graph, names: set[Name]) -> None:
        by_kind: dict[EvidenceKind, list[str]] = defaultdict(list)
        for kind, id_ in sorted(names):
            by_kind[kind].append(id_)
        for id_, window in self._windows(by_kind.pop("samples", [])).items():
            graph.samples[id_] = window
        for kind, ids in by_kind.items():
            for id_, record in load_records(session, kind, ids, graph.as_of).items():
                graph.records[kind, id_] = record
                graph.steps[kind, id_] = list(record.steps)
        for name, step in _edges(session, [name for name in names if name[0] != "samples"]):
            graph.steps.setdefault(name, []).append(step)

    def _windows(self, ids: Sequence[str]) -> dict[str, SampleWindow | None]:
        if not ids:
            return {}
        series_of: dict[str, list[Series]] = defaultdict(list)
        for series in self._store.series():
            series_of[series.machine].append(series)
        return {id_: self._window(id_, series_of) for id_ in ids}

    def _window(self, id_: str, series_of: dict[str, list[Series]]) -> SampleWindow | None:
        machine, start_ns, end_ns = parse_samples_id(id_)
        series = series_of.get(machine, [])
        batch = self._store.read(series, start_ns, end_ns)
        if not len(batch):
            return None
        first_row = np.searchsorted(batch.series_index, np.arange(len(series)), side="left")
        end_row = np.searchsorted(batch.series_index, np.arange(len(series)), side="right")
        ends = []
        for one, first, end in zip(series, first_row.tolist(), end_row.tolist(), strict=True):
            if first == end:
                continue
            query = f"from={_iso(start_ns)}&to={_iso(end_ns)}"
            ends.append(
                SampleEnds(
                    signal=one.signal,
                    unit=one.unit,
                    n_samples=end - first,
                    first_at=from_ns(int(batch.source_time_ns[first])),
                    first_value=_known(batch.value[first]),
                    last_at=from_ns(int(batch.source_time_ns[end - 1])),
                    last_value=_known(batch.value[end - 1]),
                    samples_url=f"/v1/machines/{machine}/signals/{one.signal}/samples?{query}",
                )
            )
        return SampleWindow(
            machine_key=machine,
            from_at=from_ns(start_ns),
            to_at=from_ns(end_ns),
            n_samples=len(batch),
            signals=ends,
        )

    def _tree(
        self, graph: _Graph, name: Name, step: Step | None, depth: int, path: tuple[Name, ...]
    ) -> EvidenceNode:
        kind, id_ = name
        # A visit names its work order, which names its visits: what is above is not shown again.
        below = [s for s in graph.steps.get(name, ()) if (s.kind, s.id) not in path]
        children = []
        if depth > 0:
            children = [
                self._tree(graph, (s.kind, s.id), s, depth - 1, (*path, (s.kind, s.id)))
                for s in below
                if (s.kind, s.id) in graph.seen
            ]
        window = graph.samples.get(id_) if kind == "samples" else None
        record = graph.records.get(name)
        if record is None:
            record = Record(_lost(name), None, {}) if window is None else _samples_record(window)
        return EvidenceNode(
            kind=kind,
            id=id_,
            url=evidence_url(kind, quote(id_, safe=":.")),
            page_url=record.page_url,
            title=record.title,
            at=record.at,
            label=None if step is None else step.label,
            value=None if step is None else step.value,
            unit=None if step is None else step.unit,
            method=None if step is None else step.method,
            facts=record.facts,
            samples=window,
            children=children,
            n_hidden=len(below) - len(children),
            is_missing=name not in graph.records and window is None,
        )


def _edges(session: Session, names: Sequence[Name]) -> Iterable[tuple[Name, Step]]:
    # SQLite takes 32,766 values in one statement, two for each name.
    for start in range(0, len(names), 10_000):
        chosen = names[start : start + 10_000]
        rows = session.scalars(
            select(EvidenceEdge)
            .where(tuple_(EvidenceEdge.from_kind, EvidenceEdge.from_id).in_(chosen))
            .order_by(EvidenceEdge.id)
        )
        for edge in rows:
            # Written by `add_evidence`, whose kinds are checked there.
            source: Name = (edge.from_kind, edge.from_id)  # type: ignore[assignment]
            to_kind: EvidenceKind = edge.to_kind  # type: ignore[assignment]
            yield source, Step(to_kind, edge.to_id, edge.label, edge.value, edge.unit, edge.method)


def _samples_record(window: SampleWindow) -> Record:
    title = (
        f"{window.n_samples:,} samples of {window.machine_key}, "
        f"{window.from_at:%Y-%m-%d %H:%M} to {window.to_at:%Y-%m-%d %H:%M} UTC"
    )
    return Record(title, window.from_at, {}, f"/machines/{window.machine_key}")


def _lost(name: Name) -> str:
    kind, id_ = name
    return f"{kind} {id_}: nothing is recorded under this name any more"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _iso(time_ns: int) -> str:
    return quote(from_ns(time_ns).isoformat())
