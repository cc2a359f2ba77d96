"""What each kind of machine sounds like, sound or failing.

Tones at the shaft's speed carry the vibration velocity that the kind's slow signal tells at the
same moment, so both agree. Faults add what they are known by: blows at a bearing's fault orders
[1]_, sidebands around the meshing of teeth [2]_, the hiss of cavitation. A spall's blows grow and
in the end drown in the roughness it leaves: kurtosis rises first and comes back.

References
----------
.. [1] R. B. Randall and J. Antoni, "Rolling element bearing diagnostics: a tutorial",
   Mechanical Systems and Signal Processing, vol. 25, no. 2, pp. 485-520, 2011.
.. [2] P. D. McFadden, "Detecting fatigue cracks in gears by amplitude and phase demodulation of
   the meshing vibration", Journal of Vibration, Acoustics, Stress, and Reliability in Design,
   vol. 108, pp. 165-170, 1986.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from simulators.conditions import Conditions
from simulators.errors import ScenarioError
from simulators.machines.kind import MachineKind
from simulators.vibration.geometry import BEARINGS, BearingGeometry
from simulators.vibration.synthesis import (
    RATE_HZ,
    Float32Array,
    FloatArray,
    Resonance,
    add_blows,
    add_noise,
    add_tone,
    blow_times_s,
    parts_of_turn,
)

_SLIP_RATIO: Final = 0.012
_WOBBLE_HZ: Final = 1.7
_WOBBLE_RATIO: Final = 0.003
"""The drive's speed swings slowly by this part of itself."""
_SWING_S: Final = _WOBBLE_RATIO / (2 * np.pi * _WOBBLE_HZ)
_TONE_ENERGY: Final = {1: 0.7, 2: 0.2, 3: 0.1}
"""Share of the vibration's energy at whole orders of the shaft."""
_LOAD_ZONE: Final = 0.5
"""Half of the rolling elements carry load: a bearing without play or preload."""

GEAR_TEETH: Final = 23
PUMP_VANES: Final = 6
CUTTER_TEETH: Final = 4
_MAINS_HZ: Final = 50.0
_STANDING_NOISE_POWER: Final = 0.01
"""What is left of a sound machine's noise power when it stands: its neighbours'."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a machine is under for the length of a snapshot.

    Parameters
    ----------
    shaft_hz : float
        Turns of its shaft in a second. [Hz]
    load_ratio : float
        Load over rated load.
    wear : tuple of float
        0 to 1 for each failure mode of its kind.
    velocity_mm_s : float
        Root mean square of its vibration velocity. [mm/s]
    """

    shaft_hz: float
    load_ratio: float
    wear: tuple[float, ...]
    velocity_mm_s: float

    def __post_init__(self) -> None:
        if not (0 <= self.shaft_hz < 1000 and 0 <= self.load_ratio <= 2):
            msg = (
                f"speed {60 * self.shaft_hz:g} 1/min, load {self.load_ratio:g}: no machine runs "
                "like that; give 0 to 60000 1/min and a load of 0 to 2"
            )
            raise ScenarioError(msg)
        if not all(0 <= wear <= 1 for wear in self.wear):
            msg = f"wear {self.wear}: give each failure mode a number from 0 to 1"
            raise ScenarioError(msg)


@dataclass(slots=True)
class _Scene:
    """A snapshot in the making."""

    rng: np.random.Generator
    operation: Operation
    signal: Float32Array
    turns: Float32Array
    wobble_phase: float
    noise_power: float
    """Independent noises are drawn as one: their powers add. [m²/s⁴]"""

    @property
    def length_s(self) -> float:
        return self.signal.size / RATE_HZ

    def angle_at(self, time_s: FloatArray) -> FloatArray:
        swing = np.sin(2 * np.pi * _WOBBLE_HZ * time_s + self.wobble_phase)
        turns = self.operation.shaft_hz * (time_s + _SWING_S * swing)
        return np.asarray(2 * np.pi * turns)

    def blows_s(self, order: float, slip_ratio: float = _SLIP_RATIO) -> FloatArray:
        """Draw when blows fall at an order of the shaft, on its unsteady turning."""
        shaft_hz = self.operation.shaft_hz
        even_s = blow_times_s(
            self.rng, order=order, shaft_hz=shaft_hz, length_s=self.length_s, slip_ratio=slip_ratio
        )
        swing = np.sin(2 * np.pi * _WOBBLE_HZ * even_s + self.wobble_phase)
        return even_s - _SWING_S * swing

    def tone(self, order: int, amplitude: float) -> None:
        phase = float(self.rng.uniform(0, 2 * np.pi))
        add_tone(self.signal, self.turns, order, amplitude, phase)

    def noise(self, level: float) -> None:
        self.noise_power += level**2


def _turns(shaft_hz: float, phase: float, n_samples: int) -> Float32Array:
    """Where the shaft stands at each sample, as part of a turn.

    The swing is slow and small: float32 is plenty for it, and many times faster.
    """
    time_s: FloatArray = np.arange(n_samples, dtype=np.float64) / RATE_HZ
    swing = time_s.astype(np.float32)
    swing *= np.float32(2 * np.pi * _WOBBLE_HZ)
    swing += np.float32(phase)
    np.sin(swing, out=swing)
    time_s += _SWING_S * swing
    time_s *= shaft_hz
    return parts_of_turn(time_s)


def _spall(scene: _Scene, bearing: BearingGeometry, place: str, wear: float) -> None:
    """Blows of one spalled part, and the roughness that spreads from it."""
    if wear <= 0:
        return
    load = 0.4 + 0.6 * scene.operation.load_ratio
    if place == "outer":
        # It rests in the load zone: every ball strikes it alike.
        time_s = scene.blows_s(bearing.outer_order)
        force = np.ones(time_s.size)
    elif place == "inner":
        time_s = scene.blows_s(bearing.inner_order)
        force = _load_zone(scene.angle_at(time_s))
    else:
        # A ball strikes both races in one turn about itself, and rides with the cage.
        time_s = scene.blows_s(2 * bearing.spin_order)
        force = _load_zone(bearing.cage_order * scene.angle_at(time_s))
    uneven = 1.0 + (0.1 + 0.5 * wear) * scene.rng.standard_normal(time_s.size)
    amplitude = 42.0 * wear**0.7 * load * force * np.abs(uneven)
    add_blows(scene.signal, _HOUSING, time_s, amplitude)
    scene.noise(9.0 * wear**2.2 * load)


def _load_zone(angle: FloatArray) -> FloatArray:
    """Share of the radial load at an angle from its line of action, after Stribeck."""
    share = 1.0 - (1.0 - np.cos(angle)) / (2 * _LOAD_ZONE)
    return np.asarray(np.maximum(share, 0.0) ** 1.5)


_HOUSING: Final = Resonance(frequency_hz=3150.0, damping_ratio=0.05)
_GEARCASE: Final = Resonance(frequency_hz=2200.0, damping_ratio=0.04)
_VALVE: Final = Resonance(frequency_hz=4600.0, damping_ratio=0.06)


def _conveyor(scene: _Scene) -> None:
    for place, wear in zip(("outer", "inner", "ball"), scene.operation.wear, strict=True):
        _spall(scene, BEARINGS["6205"], place, wear)


def _pump(scene: _Scene) -> None:
    _, cavitation, _ = scene.operation.wear
    scene.tone(PUMP_VANES, 1.6 * (0.4 + 0.6 * scene.operation.load_ratio))
    scene.noise(14.0 * cavitation**1.1 * scene.operation.load_ratio**2)


def _spindle(scene: _Scene) -> None:
    bearing_wear, blunt, _ = scene.operation.wear
    scene.tone(CUTTER_TEETH, (1.2 + 2.5 * blunt) * scene.operation.load_ratio)
    _spall(scene, BEARINGS["pronostia"], "outer", bearing_wear)


def _compressor(scene: _Scene) -> None:
    leak, _ = scene.operation.wear
    time_s = scene.blows_s(2.0, slip_ratio=0.002)
    add_blows(scene.signal, _VALVE, time_s, np.full(time_s.size, 18.0 + 26.0 * leak))
    scene.noise(6.0 * leak * scene.operation.load_ratio)


def _gearbox(scene: _Scene) -> None:
    crack, worn = scene.operation.wear
    load = 0.35 + 0.65 * scene.operation.load_ratio
    depth = 0.08 + 0.75 * crack**1.3
    # A tooth that gives way delays its mesh and softens it: both swing once a turn.
    angle = scene.turns * np.float32(2 * np.pi)
    late = np.float32(0.6 * crack / (2 * np.pi)) * np.sin(angle)
    meshing = np.float32(GEAR_TEETH) * scene.turns + late
    swing = np.float32(1.0) + np.float32(depth) * np.cos(angle)
    for harmonic, level in ((1, 3.5), (2, 1.6), (3, 0.8)):
        tone = np.zeros_like(scene.signal)
        growth = 1.0 + (1.2 + 0.9 * harmonic) * worn**1.2
        phase = float(scene.rng.uniform(0, 2 * np.pi))
        add_tone(tone, meshing, harmonic, level * growth * load, phase)
        scene.signal += tone * swing
    time_s = scene.blows_s(1.0, slip_ratio=0.0005)
    add_blows(scene.signal, _GEARCASE, time_s, np.full(time_s.size, 55.0 * crack**1.8 * load))


def _motor(scene: _Scene) -> None:
    aged, _ = scene.operation.wear
    # The magnetic field pulls twice in each period of the mains, whatever the shaft does.
    time_s: FloatArray = np.arange(scene.signal.size, dtype=np.float64) / RATE_HZ
    mains = parts_of_turn(_MAINS_HZ * time_s)
    phase = float(scene.rng.uniform(0, 2 * np.pi))
    add_tone(scene.signal, mains, 2, 0.6 + 1.8 * aged**2.2, phase)


_Sound: TypeAlias = Callable[[_Scene], None]
_SOUNDS: Final[dict[str, tuple[_Sound, float, float]]] = {
    "bearing-conveyor": (_conveyor, 1460.0, 0.9),
    "centrifugal-pump": (_pump, 2950.0, 1.4),
    "machining-spindle": (_spindle, 8000.0, 0.9),
    "reciprocating-compressor": (_compressor, 740.0, 1.6),
    "gearbox": (_gearbox, 985.0, 1.2),
    "electric-motor": (_motor, 1482.0, 0.6),
}
"""For each kind: its sound, its rated speed [1/min], and its noise when sound [m/s²]."""

VIBRATING_KINDS: Final = tuple(_SOUNDS)


def operation_of(kind: MachineKind, conditions: Conditions, traits: FloatArray) -> list[Operation]:
    """Read what a machine is under from its conditions.

    Parameters
    ----------
    kind : MachineKind
        What it is.
    conditions : Conditions
        Arrays of shape (n_times,).
    traits : ndarray of shape (n_traits,)
        How this unit differs from the next.

    Returns
    -------
    list of Operation
        One for each time.

    Raises
    ------
    ScenarioError
        If a machine of this kind has no raw vibration.
    """
    _, rated_rpm, _ = _sound_of(kind)
    levels = dict(zip(kind.signals, kind.levels(conditions, traits), strict=True))
    still = np.where(conditions.is_idle, 0.0, rated_rpm)
    speed_rpm = levels.get("speed_rpm", still)
    return [
        Operation(float(rpm) / 60.0, float(load), tuple(wear), float(velocity))
        for rpm, load, wear, velocity in zip(
            speed_rpm,
            conditions.load_ratio,
            conditions.wear.T.tolist(),
            levels["vibration_mm_s"],
            strict=True,
        )
    ]


def draw_snapshot(
    kind: MachineKind, operation: Operation, rng: np.random.Generator, n_samples: int
) -> Float32Array:
    """Draw one snapshot of a machine's acceleration.

    Parameters
    ----------
    kind : MachineKind
        What it is.
    operation : Operation
        What it is under meanwhile.
    rng : numpy.random.Generator
        Source of chance.
    n_samples : int
        Its length, at 25.6 kHz.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Acceleration. [m/s²]

    Raises
    ------
    ScenarioError
        If a machine of this kind has no raw vibration, or it would be empty.
    """
    sound, _, noise_m_s2 = _sound_of(kind)
    if n_samples < 1:
        msg = f"--samples: {n_samples} is below 1; give for example 25600, a second"
        raise ScenarioError(msg)
    wobble_phase = float(rng.uniform(0, 2 * np.pi))
    signal = np.zeros(n_samples, dtype=np.float32)
    turns = _turns(operation.shaft_hz, wobble_phase, n_samples)
    scene = _Scene(rng, operation, signal, turns, wobble_phase, noise_m_s2**2)
    if operation.shaft_hz > 0:
        for order, energy in _TONE_ENERGY.items():
            # The root of two from root mean square to amplitude; one ω from velocity to
            # acceleration.
            velocity_m_s = 1e-3 * operation.velocity_mm_s * np.sqrt(2 * energy)
            scene.tone(order, float(velocity_m_s * 2 * np.pi * order * operation.shaft_hz))
        sound(scene)
    else:
        scene.noise_power *= _STANDING_NOISE_POWER
    add_noise(signal, rng, float(np.sqrt(scene.noise_power)))
    return signal


def _sound_of(kind: MachineKind) -> tuple[_Sound, float, float]:
    if kind.key not in _SOUNDS:
        msg = (
            f"--kind: a {kind.key} has no vibration sensor; choose one of "
            f"{', '.join(VIBRATING_KINDS)}"
        )
        raise ScenarioError(msg)
    return _SOUNDS[kind.key]


def fault_orders(kind: MachineKind) -> dict[str, float]:
    """Name the orders of the shaft at which a kind's faults show.

    Parameters
    ----------
    kind : MachineKind
        The kind.

    Returns
    -------
    dict of str to float
        Turns for each turn of the shaft; empty where no mode has one.
    """
    bearing, spindle = BEARINGS["6205"], BEARINGS["pronostia"]
    return {
        "bearing-conveyor": {
            "outer-race-spall": bearing.outer_order,
            "inner-race-spall": bearing.inner_order,
            "ball-spall": 2 * bearing.spin_order,
        },
        "machining-spindle": {"front-bearing-wear": spindle.outer_order},
        "gearbox": {"tooth-crack": 1.0, "gear-wear": float(GEAR_TEETH)},
        "reciprocating-compressor": {"discharge-valve-leak": 2.0},
        "centrifugal-pump": {"cavitation-erosion": float(PUMP_VANES)},
    }.get(kind.key, {})
