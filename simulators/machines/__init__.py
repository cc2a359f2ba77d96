"""Kinds of machine, each in its own module with the sources of its physics."""

from typing import Final

from simulators.machines.bearing import BEARING_CONVEYOR
from simulators.machines.compressor import RECIPROCATING_COMPRESSOR
from simulators.machines.gearbox import GEARBOX
from simulators.machines.kind import KindCosts, MachineKind
from simulators.machines.motor import ELECTRIC_MOTOR
from simulators.machines.press import HYDRAULIC_PRESS
from simulators.machines.pump import CENTRIFUGAL_PUMP
from simulators.machines.spindle import MACHINING_SPINDLE

KINDS: Final[dict[str, MachineKind]] = {
    kind.key: kind
    for kind in (
        BEARING_CONVEYOR,
        CENTRIFUGAL_PUMP,
        MACHINING_SPINDLE,
        RECIPROCATING_COMPRESSOR,
        GEARBOX,
        ELECTRIC_MOTOR,
        HYDRAULIC_PRESS,
    )
}
"""Every kind there is, by key."""

__all__ = [
    "BEARING_CONVEYOR",
    "CENTRIFUGAL_PUMP",
    "ELECTRIC_MOTOR",
    "GEARBOX",
    "HYDRAULIC_PRESS",
    "KINDS",
    "MACHINING_SPINDLE",
    "RECIPROCATING_COMPRESSOR",
    "KindCosts",
    "MachineKind",
]
