"""What stands around the values in an answer to a Publish or Republish request.

Every answer that comes is read to its end with bounds, whatever a server has put into it; values
themselves are left as bytes for `edge_agent.sources.opcua_decode`.
"""

import struct
from dataclasses import dataclass
from typing import Final

from edge_agent.sources.opcua_bytes import Cursor

DATA_CHANGE, STATUS_CHANGE = 811, 820
"""Numbers of the binary encodings of the two notifications that a subscription of ours can get."""

_BAD: Final = 0x8000_0000
_LEAST_NOTIFICATION: Final = 3


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification message.

    Parameters
    ----------
    sequence : int
        Its number; that of the next one if there is nothing in it.
    data_changes : tuple of bytes
        Bodies of what has changed.
    ended : int or None
        Status with which the server has ended the subscription.
    has_content : bool
        Whether there is anything in it; what has no content is not acknowledged.
    """

    sequence: int
    data_changes: tuple[bytes, ...]
    ended: int | None
    has_content: bool


@dataclass(frozen=True, slots=True)
class PublishAnswer:
    """One answer to a Publish request.

    Parameters
    ----------
    subscription_id : int
        Subscription it is about.
    available : tuple of int
        Numbers of the notifications that the server still holds.
    notification : Notification
        What it brings.
    """

    subscription_id: int
    available: tuple[int, ...]
    notification: Notification


class RefusedError(Exception):
    """The service was refused.

    Parameters
    ----------
    status : int
        Why.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered with status 0x{status:08X}")
        self.status = status


def read_publish_answer(message: bytes) -> PublishAnswer:
    """Read a PublishResponse.

    Parameters
    ----------
    message : bytes
        The whole message.

    Returns
    -------
    PublishAnswer
        What it says.

    Raises
    ------
    MalformedError
        If it is none.
    RefusedError
        If it says that the server does not want to.
    """
    cursor = Cursor(message, 0, len(message))
    _pass_header(cursor)
    subscription_id = cursor.whole(4)
    available = _wholes(cursor)
    cursor.skip(1)
    notification = _notification(cursor)
    _wholes(cursor)
    cursor.diagnostic_infos()
    return PublishAnswer(subscription_id, available, notification)


def read_republish_answer(message: bytes) -> Notification:
    """Read a RepublishResponse.

    Parameters
    ----------
    message : bytes
        The whole message.

    Returns
    -------
    Notification
        What it brings.

    Raises
    ------
    MalformedError
        If it is none.
    RefusedError
        If it says that the server does not want to.
    """
    cursor = Cursor(message, 0, len(message))
    _pass_header(cursor)
    return _notification(cursor)


def _pass_header(cursor: Cursor) -> None:
    """Pass over type and response header.

    Raises
    ------
    RefusedError
        If it says that the server does not want to.
    """
    cursor.node_id()
    cursor.skip(12)
    status = cursor.whole(4)
    cursor.diagnostic_info()
    for _ in range(cursor.length(4)):
        cursor.text()
    cursor.extension_object()
    if status & _BAD:
        raise RefusedError(status)


def _notification(cursor: Cursor) -> Notification:
    sequence = cursor.whole(4)
    cursor.skip(8)
    data_changes: list[bytes] = []
    ended = None
    n_parts = cursor.length(_LEAST_NOTIFICATION)
    for _ in range(n_parts):
        kind, begin, end = cursor.extension_object()
        body = cursor.data[begin:end]
        if kind == DATA_CHANGE:
            data_changes.append(body)
        elif kind == STATUS_CHANGE:
            ended = Cursor(body, 0, len(body)).whole(4)
    return Notification(sequence, tuple(data_changes), ended, n_parts > 0)


def _wholes(cursor: Cursor) -> tuple[int, ...]:
    n_numbers = max(cursor.length(4), 0)
    begin = cursor.skip(4 * n_numbers)
    return struct.unpack_from(f"<{n_numbers}I", cursor.data, begin)
