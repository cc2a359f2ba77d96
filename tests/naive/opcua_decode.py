"""OPC UA notifications by asyncua's own decoder, one object a value."""

from collections.abc import Mapping, Sequence

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from edge_agent.sources.opcua_values import Decoded, decode_notifications
from ingest.telemetry import Series


def decode(
    body: bytes,
    series: Sequence[Series],
    row_of_handle: Mapping[int, int],
    received_at_ns: int,
    *,
    is_server_time: bool = False,
) -> Decoded:
    """Decode the body of a DataChangeNotification."""
    change = struct_from_binary(ua.DataChangeNotification, Buffer(body))
    return decode_notifications(
        change.MonitoredItems,
        row_of_handle,
        series,
        received_at_ns,
        is_server_time=is_server_time,
    )


def read_publish_answer(
    message: bytes,
) -> tuple[int, tuple[int, ...], int, list[ua.DataChangeNotification], int | None]:
    """Subscription, numbers still held, number, data changes, and status of the end."""
    parameters = struct_from_binary(ua.PublishResponse, Buffer(message)).Parameters
    notification = parameters.NotificationMessage
    parts = notification.NotificationData or []
    ends = [
        int(part.Status.value) for part in parts if isinstance(part, ua.StatusChangeNotification)
    ]
    return (
        parameters.SubscriptionId,
        tuple(parameters.AvailableSequenceNumbers or ()),
        notification.SequenceNumber,
        [part for part in parts if isinstance(part, ua.DataChangeNotification)],
        ends[-1] if ends else None,
    )
