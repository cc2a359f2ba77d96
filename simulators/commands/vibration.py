"""``staybolt-sim vibration``: raw snapshots with a planted fault."""

import argparse
import json

import numpy as np

from simulators.chance import chance, check_seed
from simulators.commands.shared import add_folder, add_seed
from simulators.conditions import Conditions
from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.vibration.sources import (
    VIBRATING_KINDS,
    Operation,
    draw_snapshot,
    fault_orders,
    operation_of,
)
from simulators.vibration.synthesis import RATE_HZ


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "vibration",
        help="raw vibration at 25.6 kHz with a planted fault",
        description="Write <kind>.npz with acceleration_m_s2 of shape (snapshots, samples) and "
        "rate_hz, and truth.json with the speed, the wear and the orders of the shaft at which "
        "each fault shows.",
    )
    add_folder(parser, "folder for <kind>.npz and truth.json")
    add_seed(parser)
    parser.add_argument(
        "--kind",
        default="bearing-conveyor",
        help=f"{', '.join(VIBRATING_KINDS)} (default bearing-conveyor)",
    )
    parser.add_argument("--mode", help="failure mode (default: the kind's most usual)")
    for name, default, kind, text in (
        ("--wear", 0.3, float, "wear by that mode, 0 new to 1 failed"),
        ("--load", 1.0, float, "load over rated load"),
        ("--snapshots", 10, int, "how many snapshots"),
        ("--samples", 25_600, int, "samples of each, 25600 a second"),
    ):
        parser.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{text} (default {default:g})"
        )
    parser.add_argument(
        "--speed-rpm", type=float, metavar="N", help="speed of the shaft (default: as rated)"
    )
    parser.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> None:
    check_seed(options.seed)
    if options.kind not in KINDS:
        msg = f"--kind: {options.kind!r} is not known; choose among {', '.join(VIBRATING_KINDS)}"
        raise ScenarioError(msg)
    if options.snapshots < 1:
        msg = f"--snapshots: {options.snapshots} is below 1; give at least one"
        raise ScenarioError(msg)
    kind = KINDS[options.kind]
    modes = [mode.key for mode in kind.modes]
    mode = options.mode or modes[0]
    if mode not in modes:
        msg = f"--mode: a {kind.key} has no {mode!r}; choose among {', '.join(modes)}"
        raise ScenarioError(msg)
    wear = {key: options.wear if key == mode else 0 for key in modes}
    operation = _operation(options, tuple(wear.values()))
    snapshots = np.stack([
        draw_snapshot(
            kind, operation, chance(options.seed, kind.key, "vibration", number), options.samples
        )
        for number in range(options.snapshots)
    ])  # fmt: skip
    path = options.dir / f"{kind.key}.npz"
    np.savez(path, acceleration_m_s2=snapshots, rate_hz=RATE_HZ)
    truth = {
        "kind": kind.key,
        "speed_rpm": round(60 * operation.shaft_hz, 6),
        "load_ratio": operation.load_ratio,
        "velocity_mm_s": operation.velocity_mm_s,
        "wear": wear,
        "fault_orders": fault_orders(kind),
    }
    (options.dir / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    print(f"{options.snapshots} snapshots of {options.samples} samples in {path}")


def _operation(options: argparse.Namespace, wear: tuple[float, ...]) -> Operation:
    kind = KINDS[options.kind]
    # Whatever is impossible is told before anything is worked out of it.
    Operation((options.speed_rpm or 0.0) / 60.0, options.load, wear, 0.0)
    one = np.ones(1)
    conditions = Conditions(
        time_h=0 * one,
        wear=np.array(wear, dtype=np.float64)[:, np.newaxis],
        load_ratio=options.load * one,
        lagged_load_ratio=options.load * one,
        ambient_c=20 * one,
        program=np.ones(1, dtype=np.int64),
        is_idle=np.zeros(1, dtype=np.bool_),
    )
    (rated,) = operation_of(kind, conditions, np.zeros(kind.n_traits))
    if options.speed_rpm is None:
        return rated
    return Operation(options.speed_rpm / 60.0, rated.load_ratio, rated.wear, rated.velocity_mm_s)
