"""Broken sensors, one sample after the other."""

import math

import numpy as np

from simulators.chance import chance
from simulators.faults.sensors import SensorFault

H = 3600 * 10**9
DAY = 24 * H
BLOCK = 4096


def told(
    fault: SensorFault,
    number: int,
    seed: int,
    step_ns: int,
    at_ns: int,
    value: float,
    quality: int,
    held: float,
) -> tuple[float, int]:
    """What the sensor gives at one time, and with what quality."""
    if not fault.from_ns <= at_ns < fault.until_ns:
        return value, quality
    size, every_h = fault.size or 0.0, fault.every_h or 1.0
    block, row = divmod(at_ns // step_ns, BLOCK)
    rng = chance(seed, fault.machine, "fault", number, step_ns // 10**9, block)
    happens, sign = rng.random((2, BLOCK))[:, row]
    is_hit = happens < step_ns / (every_h * H)
    if fault.kind == "drift":
        return value + size * (at_ns - fault.from_ns) / H, quality
    if fault.kind == "stuck":
        return (value if math.isnan(value) else held), quality
    if fault.kind == "spikes":
        return (value + (-size if sign < 0.5 else size) if is_hit else value), quality
    if fault.kind == "coarse":
        return (value if math.isnan(value) else round(value / size) * size), quality
    if fault.kind == "not-a-number":
        return (math.nan if is_hit and quality == 0 else value), quality
    if fault.kind == "bad":
        return value, 2
    if fault.kind == "uncertain":
        return value, (1 if quality == 0 else quality)
    return (math.nan, 2) if is_out(fault, number, seed, at_ns) else (value, quality)


def is_out(fault: SensorFault, number: int, seed: int, at_ns: int) -> bool:
    """Whether any outage that began before still lasts."""
    lasting = round((fault.lasting_h or 0.0) * H)
    for day in range((at_ns - lasting) // DAY, at_ns // DAY + 1):
        rng = chance(seed, fault.machine, "fault", number, 0, day)
        for begins_h in rng.uniform(0.0, 24.0, size=int(rng.poisson(24.0 / (fault.every_h or 1)))):
            begins = day * DAY + round(begins_h * H)
            if begins <= at_ns < begins + lasting:
                return True
    return False


def garbled(data: bytes, every_bytes: int, rng: np.random.Generator) -> bytes:
    """Bytes of which some have one bit flipped, one byte after the other."""
    came = []
    n_sound = int(rng.geometric(1 / every_bytes)) - 1
    for byte in data:
        if n_sound == 0:
            came.append(byte ^ (1 << int(rng.integers(8))))
            n_sound = int(rng.geometric(1 / every_bytes)) - 1
        else:
            came.append(byte)
            n_sound -= 1
    return bytes(came)
