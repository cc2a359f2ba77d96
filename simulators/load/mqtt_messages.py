"""MQTT messages of many metrics with the bytes already laid out: only digits are put in.

Metric k of message n has the value ``10⁹ + n``, so that a reader sees whether a message is missing;
its time is that of the message.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from simulators.errors import ScenarioError
from simulators.mqtt.payloads import json_payload, line_payload
from simulators.mqtt.sparkplug.node import SparkplugNode
from simulators.reading import GOOD, Moment

PayloadForm: TypeAlias = Literal["json", "line", "sparkplug"]
PAYLOAD_FORMS: Final[tuple[PayloadForm, ...]] = get_args(PayloadForm)

FIRST_VALUE: Final = 1_000_000_000
"""Ten digits, and so for eight thousand million messages more."""

_SITE, _MACHINE = "load", "machine-1"
_TOPICS: Final[dict[str, str]] = {
    "json": "plant/load/machine-1/telemetry",
    "line": "plant/load/machine-1/lines",
    "sparkplug": "spBv1.0/plant/DDATA/load/machine-1",
}

Maker: TypeAlias = Callable[[int, int], bytes]
"""Makes the payload of message n at a time in ns."""


def topic_for(form: PayloadForm) -> str:
    """Name the topic of messages of some form.

    Parameters
    ----------
    form : {"json", "line", "sparkplug"}
        Their form.

    Returns
    -------
    str
        The topic.
    """
    return _TOPICS[form]


def maker_of(form: PayloadForm, n_metrics: int) -> Maker:
    """Prepare messages of a form and size.

    Parameters
    ----------
    form : {"json", "line", "sparkplug"}
        As the plant's machines write them.
    n_metrics : int
        Metrics in a message.

    Returns
    -------
    callable
        Takes the number of the message and its time [ns since 1970-01-01 UTC], gives its payload.

    Raises
    ------
    ScenarioError
        If there are to be no metrics, or the form is not known.
    """
    if form not in PAYLOAD_FORMS or not 1 <= n_metrics <= 1000:
        msg = (
            f"--payload {form}, --metrics {n_metrics}: choose a form among "
            f"{', '.join(PAYLOAD_FORMS)} and 1 to 1000 metrics"
        )
        raise ScenarioError(msg)
    signals = [f"metric{number:03}_count" for number in range(n_metrics)]
    if form == "sparkplug":
        return _sparkplug_maker(signals)
    if form == "json":
        # An integer has no ".0" whose length could differ.
        return _patched(lambda moment: json_payload(signals, moment), n_metrics)
    return _patched(lambda moment: line_payload(_SITE, _MACHINE, signals, moment), n_metrics)


def _patched(write: Callable[[Moment], bytes], n_metrics: int) -> Maker:
    """Write one message properly, find its digits, and replace them from then on."""
    time_mark, value_mark = 1_234_567_890_123_456_789, 9_876_543_210
    sample = write(Moment(time_mark, (value_mark,) * n_metrics, (GOOD,) * n_metrics))
    message = np.frombuffer(sample, dtype=np.uint8).copy()
    times = _places(sample, str(time_mark).encode())
    values = _places(sample, str(value_mark).encode())

    def make(number: int, time_ns: int) -> bytes:
        digits = str(FIRST_VALUE + number).encode()
        message[values] = np.frombuffer(digits, dtype=np.uint8)
        message[times] = np.frombuffer(str(time_ns).encode(), dtype=np.uint8)
        return message.tobytes()

    return make


def _places(text: bytes, mark: bytes) -> np.ndarray:
    """Find each byte of each occurrence: indices of shape (n_occurrences, len(mark))."""
    starts, at = [], text.find(mark)
    while at >= 0:
        starts.append(at)
        at = text.find(mark, at + 1)
    return np.array(starts)[:, np.newaxis] + np.arange(len(mark))


def _sparkplug_maker(signals: list[str]) -> Maker:
    node = SparkplugNode("plant", _SITE, {_MACHINE: signals})
    good = (GOOD,) * len(signals)

    def make(number: int, time_ns: int) -> bytes:
        moment = Moment(time_ns, (float(FIRST_VALUE + number),) * len(signals), good)
        return node.data(_MACHINE, moment, time_ns)[-1].payload

    return make
