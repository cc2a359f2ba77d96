"""What may stand in a scenario file, and what is refused before anything starts."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.conditions import ShiftPlan
from simulators.machines import KINDS

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the file; keys that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClockSection(Section):
    """How machine time is played."""

    history_days: Positive = 60.0
    slow_days: Annotated[float, Field(ge=0)] = 10.0
    fast_h_per_s: Positive = 100.0
    slow_h_per_s: Positive = 4.0


class StorySection(Section):
    """What is to become of a machine."""

    fails_in_days: tuple[float, float]
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
    planned_every_days: Positive | None = None
    planned_standstill_h: Positive = 4.0


class MachineSection(Section):
    """One machine, or several alike."""

    name: Name
    kind: str
    count: Annotated[int, Field(ge=1, le=100_000)] = 1
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
        if self.protocol == "opcua" and self.server is None:
            msg = "server is missing; name the OPC UA server that carries the machine"
            raise ValueError(msg)
        if self.protocol == "opcua" and self.format != "json":
            msg = f"format {self.format!r} is for MQTT; leave it out, or write protocol = 'mqtt'"
            raise ValueError(msg)
        if self.protocol == "mqtt" and self.server is not None:
            msg = "server is for OPC UA; leave it out, or write protocol = 'opcua'"
            raise ValueError(msg)
        if self.count > 1 and self.story is not None:
            msg = "a story is one machine's; leave count out, or the story"
            raise ValueError(msg)
        return self


class SensorFaultSection(Section):
    """One sensor that does not tell what is so."""

    machine: Name
    signal: str
    fault: Literal[
        "drift", "stuck", "spikes", "dropout", "coarse", "not-a-number", "bad", "uncertain"
    ]
    from_days: float = 0.0
    for_days: Positive = 3650.0
    size: float | None = None
    every_h: Positive | None = None
    lasting_h: Positive | None = None


class DeliverySection(Section):
    """What happens to samples on their way out of the machine."""

    duplicate_probability: Share = 0.0
    late_probability: Share = 0.0
    late_s: Positive = 30.0
    clock_offset_s: float = 0.0
    clock_skew_ppm: Annotated[float, Field(ge=-10_000, le=10_000)] = 0.0


class OpcuaSection(Section):
    """How the plant's OPC UA servers behave."""

    policies: tuple[Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"], ...] = (
        "Basic256Sha256",
    )
    users: Annotated[bool, Field()] = False
    history_values: Annotated[int, Field(ge=0, le=1_000_000)] = 0


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
