"""What the agent writes down of its OPC UA subscriptions, to go on with them after its own end.

One folder, readable by the agent's user alone, with two files a server: ``<name>.session.json``,
replaced as a whole whenever the subscription or its items change, and the watermarks it names.
"""

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_agent.errors import SourceError
from edge_agent.settings_opcua import Monitoring
from edge_agent.sources.opcua_items import Items, NodeKey, WatchedItem
from edge_agent.sources.opcua_link import SessionToken
from edge_agent.sources.opcua_watermarks import Watermarks

logger = logging.getLogger(__name__)

FORM: Final = 1
"""Changes with the layout of the file; another form is passed over."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Memory:
    """A subscription, as it may be found again.

    Parameters
    ----------
    endpoint : str
        Where the server was.
    token : SessionToken
        To resume the session with.
    subscription_id : int
        The server's name for the subscription.
    silence_s : float
        Without a word for so long, the connection counts as lost. [s]
    items : tuple of WatchedItem
        What is watched; a handle stays the same as long as the subscription.
    rows : tuple of (str, str)
        Machine and signal of each row of the watermarks.
    generation : int
        Which watermarks belong to it.
    next_handle : int
        From here on no handle was ever used.
    boot_id : str
        Start of the machine that wrote it; after another, the watermarks may be older.
    """

    endpoint: str
    token: SessionToken
    subscription_id: int
    silence_s: float
    items: tuple[WatchedItem, ...]
    rows: tuple[tuple[str, str], ...]
    generation: int
    next_handle: int
    boot_id: str


class Notebook:
    """The files of one server.

    Parameters
    ----------
    state_dir : Path
        State folder of the agent.
    name : str
        Name of the server.
    """

    def __init__(self, state_dir: Path, name: str) -> None:
        self._folder = state_dir / "opcua"
        self._name = name
        self._generation = 0

    @property
    def path(self) -> Path:
        """The file of the subscription."""
        return self._folder / f"{self._name}.session.json"

    def load(self) -> tuple[Memory, Watermarks] | None:
        """Read what an earlier run of the agent wrote down.

        Returns
        -------
        tuple of (Memory, Watermarks) or None
            None if there is nothing, or nothing that can be used.
        """
        try:
            memory = _memory_of(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s can't be used (%s); a new session is begun", self.path, error)
            return None
        marks = Watermarks.open(self._marks_path(memory.generation), len(memory.rows))
        if marks is None:
            return None
        self._generation = memory.generation
        if memory.boot_id != boot_id():
            # What was stored just before a power cut may be missing: the number is not to be
            # counted from.
            marks.last_sequence = 0
        return memory, marks

    def begin_marks(
        self, n_rows: int, former: Watermarks | None = None, former_rows: Sequence[int] = ()
    ) -> Watermarks:
        """Begin new watermarks.

        Parameters
        ----------
        n_rows : int
            Rows of the series table.
        former : Watermarks, optional
            What was known before.
        former_rows : sequence of int
            Row that each former row has now, -1 for none.

        Returns
        -------
        Watermarks
            In use once `save` has been called.

        Raises
        ------
        SourceError
            If the file can't be written.
        """
        newest = np.zeros(n_rows, dtype=np.int64)
        last = heard = 0
        if former is not None:
            now = np.asarray(former_rows, dtype=np.int64)
            known = now >= 0
            newest[now[known]] = former.newest_ns()[known]
            last, heard = former.last_sequence, former.heard_at_ns
        self._generation += 1
        self._make_folder()
        marks = Watermarks.create(self._marks_path(self._generation), newest, last)
        marks.heard_at_ns = heard
        return marks

    def save(
        self,
        endpoint: str,
        token: SessionToken,
        subscription_id: int,
        silence_s: float,
        items: Items,
    ) -> Memory:
        """Write down a subscription; the watermarks begun last belong to it.

        Parameters
        ----------
        endpoint : str
            Where the server is.
        token : SessionToken
            To resume the session with.
        subscription_id : int
            The server's name for it.
        silence_s : float
            After how long it counts as lost. [s]
        items : Items
            What is watched.

        Returns
        -------
        Memory
            What a later run will read.

        Raises
        ------
        SourceError
            If the file can't be written.
        """
        memory = Memory(
            endpoint,
            token,
            subscription_id,
            silence_s,
            tuple(items.watched.values()),
            tuple((series.machine, series.signal) for series in items.series),
            self._generation,
            items.reserve_handles(),
            boot_id(),
        )
        self._make_folder()
        temporary = self.path.with_suffix(".new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(_document_of(memory), file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            msg = f"{self.path} can't be written: {error.strerror or error}; make room there"
            raise SourceError(msg) from error
        self._tidy()
        return memory

    def forget(self) -> None:
        """Remove what is written down: there is nothing to go on with."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _marks_path(self, generation: int) -> Path:
        return self._folder / f"{self._name}.{generation}.marks"

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{self._folder} can't be made: {error.strerror or error}; change its owner"
            raise SourceError(msg) from error

    def _tidy(self) -> None:
        """Remove watermarks that no file names any more."""
        current = self._marks_path(self._generation)
        for path in self._folder.glob(f"{self._name}.*.marks"):
            number = path.name.removeprefix(f"{self._name}.").removesuffix(".marks")
            if path != current and number.isdigit():
                with contextlib.suppress(OSError):
                    path.unlink()


def boot_id() -> str:
    """Name of this start of the machine.

    Returns
    -------
    str
        Empty where the system does not tell.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _document_of(memory: Memory) -> dict[str, Any]:
    document = asdict(memory)
    token = document["token"]
    token["authentication_token"] = memory.token.authentication_token.hex()
    token["server_nonce"] = memory.token.server_nonce.hex()
    return {"form": FORM, **document}


def _memory_of(document: dict[str, Any]) -> Memory:
    if document["form"] != FORM:
        msg = f"its form is {document['form']!r}, not {FORM}"
        raise ValueError(msg)
    token = document["token"]
    return Memory(
        str(document["endpoint"]),
        SessionToken(
            bytes.fromhex(token["authentication_token"]),
            bytes.fromhex(token["server_nonce"]),
            tuple((str(name), int(kind), str(uri)) for name, kind, uri in token["policies"]),
            str(token["server_started_at"]),
        ),
        int(document["subscription_id"]),
        float(document["silence_s"]),
        tuple(
            WatchedItem(
                int(item["handle"]),
                NodeKey(*map(str, item["key"])),
                str(item["node_id"]),
                int(item["item_id"]),
                Monitoring(*item["monitoring"]),
                float(item["sampling_ms"]),
                int(item["queue_size"]),
            )
            for item in document["items"]
        ),
        tuple((str(machine), str(signal)) for machine, signal in document["rows"]),
        int(document["generation"]),
        int(document["next_handle"]),
        str(document["boot_id"]),
    )
