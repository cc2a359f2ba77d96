"""Kinds of machine, each in its own module with the sources of its physics."""

from typing import Final

from simulators.machines.bearing import BEARING_CONVEYOR
from simulators.machines.kind import KindCosts, MachineKind
from simulators.machines.pump import CENTRIFUGAL_PUMP
from simulators.machines.spindle import MACHINING_SPINDLE

KINDS: Final[dict[str, MachineKind]] = {
    kind.key: kind for kind in (BEARING_CONVEYOR, CENTRIFUGAL_PUMP, MACHINING_SPINDLE)
}
"""Every kind there is, by key."""

__all__ = [
    "BEARING_CONVEYOR",
    "CENTRIFUGAL_PUMP",
    "KINDS",
    "MACHINING_SPINDLE",
    "KindCosts",
    "MachineKind",
]
