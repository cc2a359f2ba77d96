"""Messages of machines that are not Sparkplug: JSON, and InfluxDB's line protocol."""

import json
import math
from collections.abc import Sequence
from typing import Any

from simulators.reading import BAD, GOOD, Moment


def json_payload(signals: Sequence[str], moment: Moment) -> bytes:
    """Encode one moment of one machine as JSON.

    Parameters
    ----------
    signals : sequence of str
        Signal names.
    moment : Moment
        What it measured, and when.

    Returns
    -------
    bytes
        ``{"time_ns": …, "values": {…}, "quality": {…}}``; quality is left out while it is good, a
        value the machine did not give is ``null``.

    Examples
    --------
    >>> json_payload(["flow_m3_h"], Moment(5, (float("nan"),), (BAD,)))
    b'{"time_ns":5,"values":{"flow_m3_h":null},"quality":{"flow_m3_h":2}}'
    """
    # JSON has no nan, so a value that is not there is null, and bad whatever its moment is.
    document: dict[str, Any] = {
        "time_ns": moment.time_ns,
        "values": {
            signal: None if math.isnan(value) else value
            for signal, value in zip(signals, moment.values, strict=True)
        },
    }
    qualities = {
        signal: BAD if math.isnan(value) else quality
        for signal, value, quality in zip(signals, moment.values, moment.quality, strict=True)
        if quality != GOOD or math.isnan(value)
    }
    if qualities:
        document["quality"] = qualities
    return json.dumps(document, separators=(",", ":")).encode()


def line_payload(site: str, machine: str, signals: Sequence[str], moment: Moment) -> bytes:
    """Encode one moment of one machine as line protocol.

    Parameters
    ----------
    site, machine : str
        Where it stands, and which it is; without spaces, commas or equals signs.
    signals : sequence of str
        Signal names.
    moment : Moment
        What it measured, and when.

    Returns
    -------
    bytes
        A line for each signal; a value the machine did not give is left out, its quality stays.

    Examples
    --------
    >>> line_payload("mill-7", "pump-01", ["flow_m3_h"], Moment(5, (104.25,), (GOOD,)))
    b'telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h value=104.25,quality=0i 5'
    """
    lines = []
    for signal, value, quality in zip(signals, moment.values, moment.quality, strict=True):
        is_missing = math.isnan(value)
        fields = "" if is_missing else f"value={value!r},"
        lines.append(
            f"telemetry,site={site},machine={machine},signal={signal} "
            f"{fields}quality={BAD if is_missing else quality}i {moment.time_ns}"
        )
    return "\n".join(lines).encode()
