"""Notifications and messages of the load sources, one value after the other."""

import json
import struct

TICKS_TO_1970 = 116_444_736_000_000_000


def notification(
    handles: list[int], nodes: list[int], first: int, n_rounds: int, step_ns: int, start_ns: int
) -> bytes:
    """Body of a DataChangeNotification, by part 6 of OPC UA."""
    items = b""
    for n in range(first, first + n_rounds):
        for handle, node in zip(handles, nodes, strict=True):
            ticks = (start_ns + n * step_ns) // 100 + TICKS_TO_1970
            items += struct.pack("<IBBdq", handle, 0x05, 11, node * 2**32 + n, ticks)
    return struct.pack("<i", len(handles) * n_rounds) + items + struct.pack("<i", -1)


def json_message(n_metrics: int, number: int, time_ns: int) -> bytes:
    values = {f"metric{k:03}_count": 10**9 + number for k in range(n_metrics)}
    return json.dumps({"time_ns": time_ns, "values": values}, separators=(",", ":")).encode()


def line_message(n_metrics: int, number: int, time_ns: int) -> bytes:
    return "\n".join(
        f"telemetry,site=load,machine=machine-1,signal=metric{k:03}_count "
        f"value={10**9 + number},quality=0i {time_ns}"
        for k in range(n_metrics)
    ).encode()
