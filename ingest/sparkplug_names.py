"""What Sparkplug metrics are called by us, and what of their births somebody should confirm.

Identity comes from the topic: the group is the site, the device (or the node) the machine. What a
payload says never changes that.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from ingest.announced import Announcement
from ingest.settings_mqtt import SparkplugSettings, SparkplugSignalSettings
from ingest.telemetry import RejectedLine, Series, TelemetryBatch, encode_lines, is_legal_name
from ingest.telemetry.sparkplug import WHY_UNUSABLE, Metrics, Unusable
from ingest.telemetry.sparkplug_births import NO_NUMBER, Births, Wanted
from ingest.telemetry.sparkplug_node import Place, is_own_name, machine_of

_MAX_TEXT: Final = 32
_ESCAPES: Final = str.maketrans({
    ",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t",
})  # fmt: skip


class HostNaming:
    """Names metrics for the host application, and gathers what births announce.

    Parameters
    ----------
    settings : SparkplugSettings
        Sites of groups, names of machines and metrics.
    """

    def __init__(self, settings: SparkplugSettings) -> None:
        self._settings = settings
        self._called: dict[str, list[SparkplugSignalSettings]] = {}
        for signal in settings.signals:
            self._called.setdefault(signal.source, []).append(signal)
        self._announced: list[Announcement] = []

    def site_of(self, place: Place) -> str:
        """Name the site of a message.

        Parameters
        ----------
        place : Place
            What its topic says.

        Returns
        -------
        str
            As the settings name it, else the group; perhaps not a legal name.
        """
        return self._settings.sites.get(place.group, place.group)

    def want(self, place: Place, name: str, datatype: int) -> Wanted | None:
        """Series that a metric is.

        Parameters
        ----------
        place : Place
            Where it is from.
        name : str
            Its name.
        datatype : int
            Its type, 0 where no birth told it.

        Returns
        -------
        Wanted or None
            None for what can't be a number. A name that is not legal is kept as it is: the
            quarantine tells it.
        """
        if datatype in NO_NUMBER:
            return None
        machine, signal = machine_of(place, self._settings.machine), name
        for called in self._called.get(name, ()):
            if called.device in {None, place.device}:
                machine, signal = called.machine or machine, called.signal
                break
        return Wanted(Series(self.site_of(place), machine, signal), "raw")

    def judge(self, place: Place, births: Births, metrics: Metrics) -> Iterator[str]:  # noqa: ARG002 - the names say it all
        """Look at a birth: note what it announces, tell what of it can't be taken.

        Parameters
        ----------
        place : Place
            Whose birth.
        births : Births
            What was learned from it.
        metrics : Metrics
            What it carried.

        Yields
        ------
        str
            Which metric is no number.
        """
        for row, name in enumerate(metrics.names):
            if is_own_name(name) or not name:
                continue
            known = births.by_name.get(name)
            if known is None or known.wanted is None:
                yield f"{name} {WHY_UNUSABLE[Unusable.NO_NUMBER]}"
            elif all(map(is_legal_name, known.wanted.series)):
                told = metrics.properties.get(row, {})
                unit = told.get("engUnit")
                self._announced.append(
                    Announcement(
                        known.wanted.series,
                        unit=unit[:_MAX_TEXT] if isinstance(unit, str) and unit else None,
                        lowest=_number(told.get("engLow")),
                        highest=_number(told.get("engHigh")),
                    )
                )

    def announced(self) -> list[Announcement]:
        """Give what births have announced since the last time.

        Returns
        -------
        list of Announcement
            Signals with units and ranges.
        """
        announced, self._announced = self._announced, []
        return announced


def lines_of(batch: TelemetryBatch) -> tuple[bytes, list[RejectedLine]]:
    """Write samples as line protocol, and set apart those whose names are not legal.

    Parameters
    ----------
    batch : TelemetryBatch
        Samples of one message.

    Returns
    -------
    lines : bytes
        Of all samples with legal names.
    rejected : list of RejectedLine
        The others, each as a line that can be mended.
    """
    is_legal = np.array([all(map(is_legal_name, one)) for one in batch.series], dtype=np.bool_)
    if is_legal.all():
        return encode_lines(batch), []
    keep = is_legal[batch.series_index]
    return encode_lines(batch.take(keep)), [
        _rejected(batch, row) for row in np.flatnonzero(~keep).tolist()
    ]


def _rejected(batch: TelemetryBatch, row: int) -> RejectedLine:
    series, value = batch.series[int(batch.series_index[row])], float(batch.value[row])
    part = next(part for part, name in series._asdict().items() if not is_legal_name(name))
    tags = ",".join(f"{key}={name.translate(_ESCAPES)}" for key, name in series._asdict().items())
    fields = "" if math.isnan(value) else f"value={value!r},"
    return RejectedLine(
        1,
        f"telemetry,{tags} {fields}quality={int(batch.quality[row])}i {batch.source_time_ns[row]}",
        f"{part} {getattr(series, part)!r} is not a legal name",
        "name it in [sparkplug]: sites for a group, machine for a device, [[sparkplug.signals]] "
        "for a metric; this line can be mended",
    )


def _number(told: object) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told):
        return None
    return float(told)
