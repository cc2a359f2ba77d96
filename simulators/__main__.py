"""The program ``staybolt-sim``: simulated machines over real protocols, and data made offline."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.chance import check_seed
from simulators.errors import DeliveryError, ScenarioError, SimulatorError
from simulators.live.clock import ClockSettings, PlantClock
from simulators.options import build_parser
from simulators.plant.machine import EDGE_SITE, build_plant
from simulators.plant.run_to_failure import write_run_to_failure
from simulators.progress import Progress
from simulators.reading import NS_PER_S
from simulators.replay.cmapss import parse_units, read_engines

if TYPE_CHECKING:
    from simulators.live.files import EdgePlan
    from simulators.live.stage import Stage

EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2
# As shells have it: 128 and the number of the signal, SIGINT and SIGPIPE.
EXIT_STOPPED, EXIT_UNHEARD = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``staybolt-sim``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; the real one if not given.

    Returns
    -------
    int
        Exit code.
    """
    options = build_parser().parse_args(arguments)
    options.dir = options.dir.resolve()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # asyncua logs a traceback for every client it refuses; who was refused is told by us.
    for noisy in ("asyncua", "asyncuagds"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        code = _dispatch(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except BrokenPipeError:
        _forget_output()
        return EXIT_UNHEARD
    except DeliveryError as error:
        print(f"staybolt-sim: {error}", file=sys.stderr)
        return EXIT_FAILED
    except SimulatorError as error:
        print(f"staybolt-sim: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except OSError as error:
        _forget_output()
        where = error.filename or options.dir
        print(
            f"staybolt-sim: {where}: {error.strerror or error}; check that the disk has room, also "
            "where the output goes, and that this user may read and write there",
            file=sys.stderr,
        )
        return EXIT_FAILED
    return code


def _forget_output() -> None:
    """Send what is still to be written nowhere, or Python complains of it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _dispatch(options: argparse.Namespace) -> int:
    _make_folder(options.dir)
    match options.command, options.what:
        case "run", _:
            asyncio.run(_run(options))
        case "replay", _:
            asyncio.run(_replay(options))
        case _, "run-to-failure":
            paths = write_run_to_failure(
                options.dir, seed=options.seed, units_per_kind=options.units_per_kind
            )
            print("\n".join(str(path) for path in paths))
        case _:
            _generate_business(options)
    return EXIT_OK


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--dir: {folder} can't be made a folder ({error.strerror}); choose another place"
        raise ScenarioError(msg) from error
    if not os.access(folder, os.W_OK):
        msg = f"--dir: {folder} can't be written to; choose another place or change its rights"
        raise ScenarioError(msg)


def _generate_business(options: argparse.Namespace) -> None:
    from simulators.world import generate_business

    check_seed(options.seed)
    until = datetime.now(UTC) if options.until is None else _moment(options.until)
    generate_business(options.dir, options.seed, until)
    print(options.dir)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--until: {text!r} is not a date; write it as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise ScenarioError(msg) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


async def _run(options: argparse.Namespace) -> None:
    # asyncua takes half a second to load; offline work does without.
    from simulators.live.files import write_edge_toml, write_plant_json
    from simulators.live.play import describe_clock, first_moments, play_plant
    from simulators.live.stage import Stage, StageSettings
    from simulators.plant.truth import write_truth

    plan = _edge_plan(options)
    clock = PlantClock(
        ClockSettings(
            history_days=options.history_days,
            slow_days=min(options.slow_days, options.history_days),
            fast_h_per_s=options.fast_h_per_s,
            slow_h_per_s=options.slow_h_per_s,
        ),
        # Whole seconds, so that plant.json tells exactly what the plant was drawn from.
        time.time_ns() // NS_PER_S * NS_PER_S,
    )
    machines = build_plant(
        options.scenario,
        seed=options.seed,
        now_ns=clock.now_ns,
        history_days=options.history_days,
    )
    settings = StageSettings(
        options.dir, EDGE_SITE, tuple(options.trust_client), options.opcua_port, options.mqtt_port
    )
    stage = Stage(settings, first_moments(machines, clock))
    progress = Progress()
    async with _on_stage(stage) as stop:
        write_truth(
            options.dir / "truth.jsonl", machines, start_ns=clock.start_ns, now_ns=clock.now_ns
        )
        if plan is not None:
            write_edge_toml(options.dir / "edge.toml", stage, plan)
        write_plant_json(options.dir / "plant.json", stage, describe_clock(clock))
        progress.say(f"the plant is up: {options.dir / 'plant.json'}")
        await play_plant(stage, machines, clock, progress, stop, does_wait=not options.no_wait)
    progress.say("the plant has stopped")


async def _replay(options: argparse.Namespace) -> None:
    from simulators.live.files import write_edge_toml, write_plant_json
    from simulators.live.stage import Stage, StageSettings
    from simulators.replay.business import write_replay_business
    from simulators.replay.play import EDGE_SITE as REPLAY_SITE
    from simulators.replay.play import ReplaySettings, outlets_of, readings_of, replay

    plan = _edge_plan(options)
    pace = ReplaySettings(options.cycles_per_s, options.hours_per_cycle, options.wait_s)
    engines = read_engines(
        options.data, options.subset.upper(), options.split, parse_units(options.units)
    )
    settings = StageSettings(
        options.dir, REPLAY_SITE, tuple(options.trust_client), options.opcua_port, options.mqtt_port
    )
    now_ns = time.time_ns()
    records = [
        readings_of(engine, now_ns=now_ns, hours_per_cycle=pace.hours_per_cycle)
        for engine in engines
    ]
    outlets = outlets_of(engines)
    first = {outlet: record.moment(0) for outlet, record in zip(outlets, records, strict=True)}
    stage = Stage(settings, first)
    progress = Progress()
    async with _on_stage(stage) as stop:
        first_ns = min(moment.time_ns for moment in first.values())
        write_replay_business(options.dir / "business", outlets, first_ns=first_ns, now_ns=now_ns)
        if plan is not None:
            write_edge_toml(options.dir / "edge.toml", stage, plan)
        clock = {
            "cycles_per_s": pace.cycles_per_s,
            "hours_per_cycle": pace.hours_per_cycle,
            "n_cycles": {engine.machine: len(engine.values) for engine in engines},
        }
        write_plant_json(options.dir / "plant.json", stage, clock)
        progress.say(f"the engines are up: {options.dir / 'plant.json'}")
        sent = await replay(stage, records, pace, progress, stop)
    for each in sent:
        print(
            f"{each.outlet.machine}: {each.n_cycles} cycles, {each.n_samples} samples over "
            f"{each.outlet.protocol}"
        )
    n_samples = sum(each.n_samples for each in sent)
    print(f"all {n_samples} samples of {len(sent)} engines were taken")


@contextlib.asynccontextmanager
async def _on_stage(stage: "Stage") -> AsyncIterator[asyncio.Event]:
    """Start a stage and stop it whatever happens; SIGTERM and Ctrl-C set the event."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await stage.start()
        yield stop
    finally:
        await stage.stop()


def _edge_plan(options: argparse.Namespace) -> "EdgePlan | None":
    from simulators.live.files import EdgePlan

    if options.uplink_url is None:
        return None
    if options.uplink_token_file is None:
        msg = (
            "--uplink-token-file: missing beside --uplink-url; name the file that holds the token "
            "for ingest"
        )
        raise ScenarioError(msg)
    state_dir = options.edge_state_dir or options.dir / "edge"
    return EdgePlan(options.uplink_url, options.uplink_token_file.resolve(), state_dir.resolve())


if __name__ == "__main__":
    sys.exit(main())
