"""Reads scenario files, and says in words what is wrong with one before anything starts."""

import contextlib
import difflib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simulators.conditions import Regime
from simulators.errors import ScenarioError
from simulators.faults.delivery import DeliveryFaults
from simulators.faults.sensors import SensorFault
from simulators.machines import KINDS
from simulators.opcua.settings import OpcuaSettings
from simulators.plant.lives import Story
from simulators.plant.machine import Role
from simulators.plant.maintenance import MaintenancePolicy
from simulators.reading import NS_PER_H, Outlet
from simulators.scenarios.schema import MachineSection, ScenarioFile, SensorFaultSection, names_of

_FOLDER: Final = Path(__file__).parent
_ENDING: Final = ".toml"
_SEE: Final = "`staybolt-sim list scenarios demo` explains every option"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, read and found possible.

    Parameters
    ----------
    name : str
        Its name.
    file : ScenarioFile
        What the file says.
    roles : tuple of Role
        Its machines, those of one OPC UA server next to each other.
    formats : dict of str to str
        Form of the MQTT messages of each machine that has any.
    """

    name: str
    file: ScenarioFile
    roles: tuple[Role, ...]
    formats: dict[str, str]

    def part(self, number: int, n_parts: int) -> "Scenario":
        """Take the machines of some of its servers; all MQTT machines count as one server's.

        Parameters
        ----------
        number : int
            Which part, from 1.
        n_parts : int
            Into how many parts the servers are dealt out.

        Returns
        -------
        Scenario
            Its machines do what they do in the whole, since each draws from its own chance.

        Raises
        ------
        ScenarioError
            If there is no such part, or it would be empty.
        """
        servers = sorted({role.outlet.server for role in self.roles})
        mine = servers[number - 1 :: n_parts] if 1 <= number <= n_parts else []
        if not mine:
            msg = (
                f"--part: there is no part {number} of {n_parts}; scenario {self.name} has "
                f"{len(servers)} servers, and so at most as many parts"
            )
            raise ScenarioError(msg)
        roles = tuple(role for role in self.roles if role.outlet.server in mine)
        names = {role.outlet.machine for role in roles}
        formats = {name: form for name, form in self.formats.items() if name in names}
        return Scenario(self.name, self.file, roles, formats)

    @property
    def opcua(self) -> OpcuaSettings:
        """What its OPC UA servers offer."""
        section = self.file.opcua
        return OpcuaSettings(section.policies, section.users, section.history_values)

    @property
    def delivery(self) -> DeliveryFaults:
        """How its samples are delivered."""
        return DeliveryFaults(**self.file.delivery.model_dump())

    def sensor_faults(self, now_ns: int) -> list[SensorFault]:
        """Put its sensor faults on the clock.

        Parameters
        ----------
        now_ns : int
            The moment days are counted from. [ns since 1970-01-01 UTC]

        Returns
        -------
        list of SensorFault
            In the order of the file.
        """
        names = {role.outlet.machine for role in self.roles}
        return [
            _sensor_fault(section, now_ns)
            for section in self.file.sensor_faults
            if section.machine in names
        ]


def _sensor_fault(section: SensorFaultSection, now_ns: int) -> SensorFault:
    from_ns = now_ns + round(section.from_days * 24 * NS_PER_H)
    until_ns = from_ns + round(section.for_days * 24 * NS_PER_H)
    return SensorFault(
        section.machine, section.signal, section.fault, from_ns, until_ns,
        section.size, section.every_h, section.lasting_h,
    )  # fmt: skip


def scenario_names() -> list[str]:
    """Name the scenarios that come with the product.

    Returns
    -------
    list of str
        In alphabetical order.
    """
    return sorted(path.stem for path in _FOLDER.glob(f"*{_ENDING}"))


def scenario_path(name: str) -> Path:
    """Find a scenario's file.

    Parameters
    ----------
    name : str
        Name of one that comes with the product, or path of a file that ends in ``.toml``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ScenarioError
        If there is none.
    """
    path = Path(name) if name.endswith(_ENDING) else _FOLDER / f"{name}{_ENDING}"
    if not path.is_file():
        msg = (
            f"--scenario: {name!r} is not known; choose one of {', '.join(scenario_names())}, or "
            "give the path of a file that ends in .toml"
        )
        raise ScenarioError(msg)
    return path


def load_scenario(name: str) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    name : str
        As `scenario_path` takes it.

    Returns
    -------
    Scenario
        Everything in it is possible.

    Raises
    ------
    ScenarioError
        If there is no such file, or something in it can't be; names file, key and remedy.
    """
    path = scenario_path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path.name}: can't be read ({error.strerror}); change its rights"
        raise ScenarioError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path.name}: is not TOML: {error}; {_SEE}"
        raise ScenarioError(msg) from error
    try:
        file = ScenarioFile.model_validate(table)
    except ValidationError as error:
        details = error.errors(include_url=False)
        places = [detail["loc"] for detail in details]
        # A machine that is refused is counted as missing too; its own fault says enough.
        told = [d for d in details if not any(_is_within(p, d["loc"]) for p in places)]
        raise ScenarioError("\n".join(_sentence(path.name, detail) for detail in told)) from error
    roles: list[Role] = []
    for number, section in enumerate(file.machines):
        with _at(f"{path.name}, machines[{number}]"):
            roles += _roles(section)
    # One OPC UA server after the other, whatever the order of the file.
    roles.sort(key=lambda role: role.outlet.server)
    formats: dict[str, str] = {
        machine: section.format
        for section in file.machines
        if section.protocol == "mqtt"
        for machine in names_of(section)
    }
    for number, fault in enumerate(file.sensor_faults):
        with _at(f"{path.name}, sensor_faults[{number}]"):
            _sensor_fault(fault, 0)
    return Scenario(path.stem, file, tuple(roles), formats)


@contextlib.contextmanager
def _at(place: str) -> Iterator[None]:
    # Parts that check themselves know what can't be, not where in the file it stands.
    try:
        yield
    except ScenarioError as error:
        msg = f"{place}: {error}"
        raise ScenarioError(msg) from error


def _roles(section: MachineSection) -> list[Role]:
    kind = KINDS[section.kind]
    care = section.maintenance
    story = section.story
    return [
        Role(
            outlet=Outlet(
                machine=name,
                kind=kind.key,
                site=section.site,
                customer=section.customer,
                protocol=section.protocol,
                server=section.server or "",
                signals=kind.signals,
            ),
            story=None if story is None else Story(story.fails_in_days, story.wear_now),
            regime=Regime(section.shift_plan, section.product_load_ratio),
            modes=section.modes,
            policy=MaintenancePolicy(
                care.perfect_probability,
                care.imperfect_probability,
                care.kept_wear_ratio,
                care.planned_every_days,
                care.planned_standstill_h,
            ),
            utc_offset_h=section.utc_offset_h,
        )
        for name in names_of(section)
    ]


def _sentence(file_name: str, detail: ErrorDetails) -> str:
    place, kind = detail["loc"], detail["type"]
    where = _path(place)
    if kind == "extra_forbidden":
        known = _keys_at(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"{file_name}, {where}: unknown key; {hint}"
    if kind == "missing":
        return f"{file_name}, {where}: missing; {_SEE}"
    if kind == "value_error":
        cause = detail.get("ctx", {}).get("error", detail["msg"])
        return f"{file_name}{', ' if where else ''}{where}: {cause}"
    problem = detail["msg"][:1].lower() + detail["msg"][1:]
    return f"{file_name}, {where}: {str(detail['input'])[:60]!r}: {problem}; {_SEE}"


def _is_within(place: Sequence[str | int], of: Sequence[str | int]) -> bool:
    return len(place) > len(of) > 0 and tuple(place[: len(of)]) == tuple(of)


def _path(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _keys_at(place: Sequence[str | int]) -> list[str]:
    """Keys that the table at a place of the file may have."""
    model: type[BaseModel] = ScenarioFile
    for part in place:
        if isinstance(part, int):
            continue
        inner = _model_in(model.model_fields[part].annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
