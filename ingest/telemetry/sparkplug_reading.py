"""Sparkplug B messages of many nodes as samples, in the order in which they may be believed.

Who may be believed when is decided by `ingest.telemetry.sparkplug_node`, what an alias stands for
is known to `ingest.telemetry.sparkplug_births`; here the two are put to work. What a metric is
called and which machine it is of is left to the caller's `Naming`; connections and clocks too.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from ingest.errors import SparkplugError
from ingest.telemetry.batch import Priority
from ingest.telemetry.sparkplug import Metrics, Payload
from ingest.telemetry.sparkplug_births import BirthFiles, Births, Wanted
from ingest.telemetry.sparkplug_node import (
    SPARKPLUG_ROOT,
    Arrived,
    Decided,
    EdgeNode,
    Place,
    is_own_name,
)
from ingest.telemetry.sparkplug_samples import NOTHING, Samples, samples_of, stale, wrong_units

MAX_NODES: Final = 1000
MAX_DEVICES: Final = 10_000
"""Of one node; whoever invents names must not fill our memory."""

MAX_HELD_METRICS: Final = 200_000
"""Of all messages that wait for a birth: some 20 MB."""

_NS_PER_MS: Final = 1_000_000


class Naming(Protocol):
    """Says what metrics are to whoever reads them."""

    def want(self, place: Place, name: str, datatype: int) -> Wanted | None:
        """Series that a metric is.

        Parameters
        ----------
        place : Place
            Where it is from.
        name : str
            Its name; never one of the protocol's own.
        datatype : int
            Its type, 0 where no birth told it.

        Returns
        -------
        Wanted or None
            None if nobody asks for it, or it can't be named.
        """

    def judge(self, place: Place, births: Births, metrics: Metrics) -> Iterable[str]:
        """Look at a birth.

        Parameters
        ----------
        place : Place
            Whose birth.
        births : Births
            What was learned from it.
        metrics : Metrics
            What it carried.

        Returns
        -------
        iterable of str
            What is wrong with it; its values are taken all the same.
        """


class Told(NamedTuple):
    """A message as it was published."""

    body: bytes
    received_at_ns: int
    is_retained: bool = False


class Done(NamedTuple):
    """One message that has been read: its ticket, and what was in it or why nothing was."""

    ticket: Any
    result: Samples | SparkplugError


class _Waiting(NamedTuple):
    """A message on its way through the rules of its node."""

    place: Place
    payload: Payload
    received_at_ns: int
    ticket: Any


@dataclass(slots=True)
class _Known:
    """One edge node: whether to believe it, and what its births told."""

    node: EdgeNode[_Waiting]
    births: dict[str, Births] = field(default_factory=dict)
    held: list[tuple[float, _Waiting]] = field(default_factory=list)
    is_to_be_saved: bool = False
    n_told: int = 0


@dataclass(slots=True)
class NodesReader:
    """Reads the messages of Sparkplug nodes.

    Parameters
    ----------
    naming : Naming
        What metrics are called.
    reorder_timeout_s : float
        How long a message may be late. [s]
    folder : Path or None
        Where births are kept over a restart; None keeps none.
    on_missed : callable
        Told how many messages of a node never came.
    priority : {"alarm", "raw"}
        Of series that have none of their own.
    hold_s : float
        How long data whose aliases no birth explains wait for one; 0 says at once that they can't
        be read. What a birth explains afterwards is doubtful. [s]
    """

    naming: Naming
    reorder_timeout_s: float
    folder: Path | None
    on_missed: Callable[[int], None]
    priority: Priority = "raw"
    hold_s: float = 0.0
    _n_held: int = 0
    _files: BirthFiles = field(init=False)
    _nodes: dict[tuple[str, str], _Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files = BirthFiles(self.folder)

    @property
    def n_nodes(self) -> int:
        """How many nodes are known."""
        return len(self._nodes)

    def recall(self) -> None:
        """Remember the nodes whose births are on disk, so that they are asked for new ones."""
        for group, node in self._files.nodes():
            if len(self._nodes) < MAX_NODES:
                self._known(Place("NBIRTH", group, node, ""))

    def take(self, place: Place, told: Told, ticket: object, now_s: float) -> list[Done]:
        """Take a message; it may have to wait for others.

        Parameters
        ----------
        place : Place
            What its topic says.
        told : Told
            The message.
        ticket : object
            Comes back with what was in the message.
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Done
            What has been read by now, in order; this message may not be among it.
        """
        if told.is_retained:
            # Births and data are never retained (tck-id-…-retain): whose time this was is unknown.
            return [Done(ticket, NOTHING)]
        try:
            known = self._known(place)
            payload = self._births(known, place).reader.read(told.body)
        except SparkplugError as error:
            return [Done(ticket, error)]
        bd_seq = payload.metrics.integer_of("bdSeq") if place.kind[0] == "N" else None
        arrived = Arrived(
            place.kind,
            payload.seq,
            bd_seq,
            payload.timestamp_ms,
            _Waiting(place, payload, told.received_at_ns, ticket),
        )
        return self._all_read(known, known.node.arrived(arrived, now_s), now_s)

    def tick(self, now_s: float) -> list[Done]:
        """Let time pass: what waited too long is read, and births are kept on disk.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of Done
            What has been read.
        """
        self.save()
        done: list[Done] = []
        for known in self._nodes.values():
            done += self._all_read(known, known.node.tick(now_s), now_s)
            if known.held and known.held[0][0] <= now_s:
                done += self._let_go(known, now_s=now_s)
        return done

    def disconnected(self) -> list[Done]:
        """Note that messages may be missed from now on.

        Returns
        -------
        list of Done
            What waited for others that won't come any more.
        """
        self.save()
        done: list[Done] = []
        for known in self._nodes.values():
            done += self._all_read(known, known.node.disconnected(), None)
            done += self._let_go(known)
        return done

    def to_be_asked(self, now_s: float) -> list[str]:
        """Topics to publish a rebirth command on; these nodes count as asked.

        Parameters
        ----------
        now_s : float
            A clock that never jumps. [s]

        Returns
        -------
        list of str
            One for each node of which a birth may have been missed.
        """
        return [
            f"{SPARKPLUG_ROOT}/{group}/NCMD/{node}"
            for (group, node), known in self._nodes.items()
            if known.node.is_to_be_asked(now_s)
        ]

    def save(self) -> None:
        """Keep on disk what births have told since the last time."""
        for (group, node), known in self._nodes.items():
            if known.is_to_be_saved:
                known.is_to_be_saved = False
                told = {device: births.told() for device, births in known.births.items()}
                self._files.save(group, node, told)

    # --- births --------------------------------------------------------------------------------

    def _known(self, place: Place) -> _Known:
        key = place.group, place.node
        known = self._nodes.get(key)
        if known is None:
            if len(self._nodes) >= MAX_NODES:
                msg = f"more than {MAX_NODES} nodes; name the ones you want in the settings"
                raise SparkplugError(msg)
            known = self._nodes[key] = _Known(EdgeNode(self.reorder_timeout_s))
            for device, told in self._files.load(*key).items():
                self._births(known, place._replace(device=device)).learn(told)
        if len(known.births) >= MAX_DEVICES and place.device not in known.births:
            msg = f"more than {MAX_DEVICES} devices of one node"
            raise SparkplugError(msg)
        return known

    def _births(self, known: _Known, place: Place) -> Births:
        births = known.births.get(place.device)
        if births is None:
            births = known.births[place.device] = Births(
                lambda name, datatype: self._want(place, name, datatype), self.priority
            )
        return births

    def _want(self, place: Place, name: str, datatype: int) -> Wanted | None:
        return None if is_own_name(name) else self.naming.want(place, name, datatype)

    # --- reading -------------------------------------------------------------------------------

    def _all_read(
        self, known: _Known, decided: list[Decided[_Waiting]], now_s: float | None
    ) -> list[Done]:
        missed = known.node.n_missed - known.n_told
        if missed:
            known.n_told = known.node.n_missed
            self.on_missed(missed)
        done: list[Done] = []
        for one in decided:
            place = one.ticket.place
            if now_s is not None and self._is_held(known, one.ticket, now_s):
                continue
            if place.kind == "NDEATH" and not one.is_ignored:
                # What aliases meant ends with the connection.
                done += self._let_go(known)
            done.append(Done(one.ticket.ticket, self._read(known, one)))
            if known.held and place.kind in {"NBIRTH", "DBIRTH"}:
                done += self._let_go(known, device=place.device)
        return done

    def _is_held(self, known: _Known, waiting: _Waiting, now_s: float) -> bool:
        """Let data wait for the birth that explains them, if they need one."""
        metrics = waiting.payload.metrics
        if not self.hold_s or waiting.place.kind not in {"NDATA", "DDATA"}:
            return False
        if not self._births(known, waiting.place).shape(metrics).unknown:
            return False
        if self._n_held + len(metrics) > MAX_HELD_METRICS:
            return False
        known.node.is_doubtful = True
        known.held.append((now_s + self.hold_s, waiting))
        self._n_held += len(metrics)
        return True

    def _let_go(
        self, known: _Known, *, device: str | None = None, now_s: float = math.inf
    ) -> list[Done]:
        """Read data that waited for a birth, as far as they are explained now."""

        def is_meant(until_s: float, waiting: _Waiting) -> bool:
            return until_s <= now_s and device in {None, waiting.place.device}

        meant = [waiting for until_s, waiting in known.held if is_meant(until_s, waiting)]
        known.held = [one for one in known.held if not is_meant(*one)]
        self._n_held -= sum(len(waiting.payload.metrics) for waiting in meant)
        is_doubtful = known.node.is_doubtful
        done = [
            Done(one.ticket, self._data(known, one.place, one.payload, is_doubtful=True))
            for one in meant
        ]
        if not is_doubtful:
            # Old data may have other aliases than the birth just heard: no reason to ask again.
            known.node.is_doubtful = False
        return done

    def _read(self, known: _Known, decided: Decided[_Waiting]) -> Samples | SparkplugError:
        place, payload, received_at_ns, _ = decided.ticket
        if decided.is_ignored:
            return NOTHING
        match place.kind:
            case "NDEATH":
                return stale(list(known.births.values()), received_at_ns)
            case "DDEATH":
                at_ns = (payload.timestamp_ms or 0) * _NS_PER_MS or received_at_ns
                return stale([self._births(known, place)], at_ns)
            case "NBIRTH" | "DBIRTH":
                return self._birth(known, place, payload)
            case _:
                return self._data(known, place, payload, is_doubtful=decided.is_doubtful)

    def _birth(self, known: _Known, place: Place, payload: Payload) -> Samples:
        metrics = payload.metrics
        if place.kind == "NBIRTH":
            known.births.clear()
        births = self._births(known, place)
        births.learn(
            list(zip(metrics.names, metrics.aliases, metrics.datatype.tolist(), strict=True))
        )
        known.is_to_be_saved = True
        faults = [*self.naming.judge(place, births, metrics), *wrong_units(births, metrics)]
        return samples_of(births, metrics, faults, is_doubtful=False)

    def _data(
        self, known: _Known, place: Place, payload: Payload, *, is_doubtful: bool
    ) -> Samples | SparkplugError:
        births = self._births(known, place)
        shape = births.shape(payload.metrics)
        faults = []
        if shape.unknown:
            known.node.is_doubtful = True
            aliases = ", ".join(str(alias) for alias in shape.unknown[:5])
            faults.append(f"alias {aliases} is in no birth that was heard")
        samples = samples_of(births, payload.metrics, faults, is_doubtful=is_doubtful)
        if not len(samples.batch) and samples.faults:
            return SparkplugError("; ".join(samples.faults[:5]))
        return samples
