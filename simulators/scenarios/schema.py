"""What may stand in a scenario file, and what is refused before anything starts."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from simulators.conditions import ShiftPlan
from simulators.machines import KINDS

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Share = Annotated[float, Field(ge=0, le=1)]

_MOST_DAYS: Final = 36_525.0
"""A century; machine times beyond it would leave what nanoseconds since 1970 can tell."""
_MOST_S: Final = _MOST_DAYS * 86_400.0
_MOST_HISTORY_DAYS: Final = 3_653.0
"""Ten years of history are in memory at once, a sample every two hours."""

Days = Annotated[float, Field(ge=-_MOST_DAYS, le=_MOST_DAYS)]
"""Counted from now; negative is the past. [d]"""
Every = Annotated[float, Field(ge=0.01, le=_MOST_DAYS * 24)]
"""Mean time between two faults of a sensor: from half a minute. [h]"""


class Section(BaseModel):
    """A table of the file; keys that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClockSection(Section):
    """How machine time is played."""

    history_days: Annotated[float, Field(gt=0, le=_MOST_HISTORY_DAYS)] = 60.0
    slow_days: Annotated[float, Field(ge=0, le=_MOST_HISTORY_DAYS)] = 10.0
    fast_h_per_s: Annotated[float, Field(gt=0, le=1e6)] = 100.0
    slow_h_per_s: Annotated[float, Field(gt=0, le=1e6)] = 4.0


class StorySection(Section):
    """What is to become of a machine."""

    fails_in_days: tuple[Days, Days]
    wear_now: tuple[Share, Share] = (0.0, 1.0)

    @model_validator(mode="after")
    def _runs_upwards(self) -> Self:
        for name in ("fails_in_days", "wear_now"):
            low, high = getattr(self, name)
            if low > high:
                msg = f"{name} runs from {low:g} down to {high:g}; write the smaller number first"
                raise ValueError(msg)
        return self


class MaintenanceSection(Section):
    """How well a machine is looked after."""

    perfect_probability: Share = 1.0
    imperfect_probability: Share = 0.0
    kept_wear_ratio: tuple[Share, Share] = (0.1, 0.4)
    planned_every_days: Annotated[float, Field(ge=1, le=_MOST_DAYS)] | None = None
    planned_standstill_h: Annotated[float, Field(gt=0, le=8_766)] = 4.0


class MachineSection(Section):
    """One machine, or several alike."""

    name: Name
    kind: str
    count: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 1
    site: Name = "site-01"
    customer: Name = "cust-001"
    utc_offset_h: Annotated[float, Field(ge=-12, le=14)] = 0.0
    protocol: Literal["opcua", "mqtt"] = "mqtt"
    server: Name | None = None
    format: Literal["json", "line", "sparkplug"] = "json"
    shift_plan: ShiftPlan = "continuous"
    product_load_ratio: tuple[float, float, float] = (1.0, 1.0, 1.0)
    modes: tuple[str, ...] = ()
    story: StorySection | None = None
    maintenance: MaintenanceSection = MaintenanceSection()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind not in KINDS:
            msg = f"kind {self.kind!r} is not known; choose among {', '.join(KINDS)}"
            raise ValueError(msg)
        known = [mode.key for mode in KINDS[self.kind].modes]
        for key in self.modes:
            if key not in known:
                msg = f"modes: a {self.kind} has no {key!r}; choose among {', '.join(known)}"
                raise ValueError(msg)
        if len(set(self.modes)) < len(self.modes):
            msg = f"modes: {', '.join(self.modes)} names one twice; name each once"
            raise ValueError(msg)
        self._check_protocol()
        self._check_story()
        return self

    def _check_protocol(self) -> None:
        if self.protocol == "opcua" and self.server is None:
            msg = "server is missing; name the OPC UA server that carries the machine"
            raise ValueError(msg)
        if self.protocol == "opcua" and self.format != "json":
            msg = f"format {self.format!r} is for MQTT; leave it out, or write protocol = 'mqtt'"
            raise ValueError(msg)
        if self.protocol == "mqtt" and self.server is not None:
            msg = "server is for OPC UA; leave it out, or write protocol = 'opcua'"
            raise ValueError(msg)

    def _check_story(self) -> None:
        if self.story is None:
            return
        if self.count > 1:
            msg = "a story is one machine's; leave count out, or the story"
            raise ValueError(msg)
        for key in ("modes", "maintenance"):
            if key in self.model_fields_set:
                msg = (
                    f"{key} is for machines without a story: one with a story wears by its kind's "
                    f"first failure mode and is repaired as new; leave {key} out, or the story"
                )
                raise ValueError(msg)


class SensorFaultSection(Section):
    """One sensor that does not tell what is so."""

    machine: Name
    signal: str
    fault: Literal[
        "drift", "stuck", "spikes", "dropout", "coarse", "not-a-number", "bad", "uncertain"
    ]
    from_days: Days = 0.0
    for_days: Annotated[float, Field(gt=0, le=_MOST_DAYS)] = 3650.0
    size: float | None = None
    every_h: Every | None = None
    lasting_h: Annotated[float, Field(gt=0, le=_MOST_DAYS * 24)] | None = None


class DeliverySection(Section):
    """What happens to samples on their way out of the machine."""

    duplicate_probability: Share = 0.0
    late_probability: Share = 0.0
    late_s: Annotated[float, Field(gt=0, le=_MOST_S)] = 30.0
    clock_offset_s: Annotated[float, Field(ge=-_MOST_S, le=_MOST_S)] = 0.0
    clock_skew_ppm: Annotated[float, Field(ge=-10_000, le=10_000)] = 0.0


class OpcuaSection(Section):
    """How the plant's OPC UA servers behave."""

    policies: Annotated[
        tuple[Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"], ...],
        Field(min_length=1),
    ] = ("Basic256Sha256",)
    users: StrictBool = False
    history_values: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = 0


class ScenarioFile(Section):
    """A whole file."""

    description: str
    site: Name
    machines: Annotated[tuple[MachineSection, ...], Field(min_length=1)]
    clock: ClockSection = ClockSection()
    opcua: OpcuaSection = OpcuaSection()
    delivery: DeliverySection = DeliverySection()
    sensor_faults: tuple[SensorFaultSection, ...] = ()

    @model_validator(mode="after")
    def _names_are_known_once(self) -> Self:
        seen: dict[str, tuple[str, ...]] = {}
        for section in self.machines:
            for name in names_of(section):
                if name in seen:
                    msg = f"machine {name!r} is there twice; give each a name of its own"
                    raise ValueError(msg)
                seen[name] = KINDS[section.kind].signals
        for fault in self.sensor_faults:
            if fault.machine not in seen:
                msg = f"sensor_faults: there is no machine {fault.machine!r} in this scenario"
                raise ValueError(msg)
            if fault.signal not in seen[fault.machine]:
                msg = (
                    f"sensor_faults: {fault.machine} has no signal {fault.signal!r}; choose among "
                    f"{', '.join(seen[fault.machine])}"
                )
                raise ValueError(msg)
        return self


def names_of(section: MachineSection) -> list[str]:
    """Name the machines of a section.

    Parameters
    ----------
    section : MachineSection
        One machine or several alike.

    Returns
    -------
    list of str
        The name itself, or with numbers from 01.
    """
    if section.count == 1:
        return [section.name]
    width = max(2, len(str(section.count)))
    return [f"{section.name}-{number:0{width}}" for number in range(1, section.count + 1)]
