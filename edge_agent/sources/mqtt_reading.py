"""What every payload format has in common: a message comes in, samples and misfits go out.

Plain values and functions; nothing here knows of connections.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from edge_agent.errors import PayloadError
from edge_agent.records import PRIORITIES, Priority
from edge_agent.settings_mqtt import MACHINE_PLACE, SIGNAL_PLACE
from ingest.telemetry import Series, TelemetryBatch, is_legal_name

MAX_PAYLOAD_BYTES: Final = 1_000_000
"""One message is a moment of one machine; a megabyte of it is a mistake or an attack."""

MAX_FAULTS_TOLD: Final = 5

Part = tuple[Priority, TelemetryBatch]
"""Samples of one priority."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was published."""

    topic: str
    payload: bytes
    received_at_ns: int
    is_retained: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one message held.

    Parameters
    ----------
    parts : tuple of Part
        Samples that could be read, at most one part for each priority; may be empty.
    fault : str or None
        What could not, in one line; None if all of it could.
    """

    parts: tuple[Part, ...]
    fault: str | None = None


class Reader(Protocol):
    """Reads the messages of one family of topics, each by itself."""

    def read(self, message: Message, places: Mapping[str, str]) -> Reading:
        """Read one message.

        Parameters
        ----------
        message : Message
            The message.
        places : mapping of str to str
            What the topic says: ``machine`` and ``signal``, as far as it names them.

        Returns
        -------
        Reading
            Its samples, and what is wrong with the rest.

        Raises
        ------
        PayloadError
            If nothing of it can be read.
        """


def topic_pattern(topic: str) -> re.Pattern[str]:
    """Regular expression for the topics of a family.

    Parameters
    ----------
    topic : str
        Topic of the settings, with ``{machine}``, ``{signal}``, ``+`` and ``#`` as levels.

    Returns
    -------
    re.Pattern
        Its groups ``machine`` and ``signal`` are those levels.

    Examples
    --------
    >>> found = topic_pattern("plant/+/{machine}/{signal}").fullmatch("plant/a/press-04/flow_m3_h")
    >>> found.groupdict()
    {'machine': 'press-04', 'signal': 'flow_m3_h'}
    """
    patterns = {
        MACHINE_PLACE: "(?P<machine>[^/]*)",
        SIGNAL_PLACE: "(?P<signal>[^/]*)",
        "+": "[^/]*",
    }
    levels = topic.split("/")
    text = "/".join(patterns.get(level, re.escape(level)) for level in levels if level != "#")
    if levels[-1] == "#":
        # A trailing # also means the level above it (MQTT 5.0, 4.7.1.2); the root has none.
        text = f"{text}(?:/.*)?" if len(levels) > 1 else ".*"
    return re.compile(text, re.DOTALL)


def machine_named(places: Mapping[str, str], otherwise: str | None) -> str:
    """Machine that a message is of.

    Parameters
    ----------
    places : mapping of str to str
        What the topic says.
    otherwise : str or None
        Machine of the settings, for topics that name none.

    Returns
    -------
    str
        A legal name.

    Raises
    ------
    PayloadError
        If the topic names something else.
    """
    machine = places.get("machine", otherwise)
    if machine is None or not is_legal_name(machine):
        msg = f"the topic names the machine {machine!r}, which is not a legal name"
        raise PayloadError(msg)
    return machine


def check_size(payload: bytes) -> None:
    """Refuse a payload that is too large.

    Parameters
    ----------
    payload : bytes
        What was published.

    Raises
    ------
    PayloadError
        If it is.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are taken; send smaller messages"
        raise PayloadError(msg)


def joined(faults: Sequence[str]) -> str | None:
    """Put faults into one line.

    Parameters
    ----------
    faults : sequence of str
        Each in a few words.

    Returns
    -------
    str or None
        The first few and how many more there are; None if there are none.
    """
    if not faults:
        return None
    more = len(faults) - MAX_FAULTS_TOLD
    return "; ".join(faults[:MAX_FAULTS_TOLD]) + (f"; and {more} more" if more > 0 else "")


def split_by_priority(
    batch: TelemetryBatch, otherwise: Priority, priority_of: Mapping[Series, Priority]
) -> tuple[Part, ...]:
    """Part samples by how urgent they are.

    Parameters
    ----------
    batch : TelemetryBatch
        All samples of a message.
    otherwise : {"raw", "alarm"}
        Priority of the topic.
    priority_of : mapping of Series to Priority
        Priority of the series that have one of their own.

    Returns
    -------
    tuple of Part
        One for each priority that occurs; none for an empty batch.
    """
    if not len(batch):
        return ()
    told = [priority_of.get(series, otherwise) for series in batch.series] if priority_of else []
    if len(set(told)) <= 1:
        return ((told[0] if told else otherwise, batch),)
    is_alarm = np.array([priority == "alarm" for priority in told])[batch.series_index]
    parts = ((priority, batch.take(is_alarm == (priority == "alarm"))) for priority in PRIORITIES)
    return tuple(part for part in parts if len(part[1]))
