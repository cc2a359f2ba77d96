"""``staybolt-sim run``: play a plant over real protocols until stopped."""

import argparse
import asyncio
import time

from simulators.commands.shared import add_folder, add_network, add_seed, edge_plan, on_stage, port
from simulators.errors import ScenarioError
from simulators.live.clock import ClockSettings, PlantClock
from simulators.plant.machine import build_plant
from simulators.progress import Progress
from simulators.reading import NS_PER_S
from simulators.scenarios.loading import load_scenario, scenario_names
from simulators.scenarios.schema import ClockSection


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "run",
        help="play a plant over OPC UA and MQTT until stopped",
        description="Play a plant over OPC UA and MQTT: 60 days of history first, then live, "
        "until stopped. plant.json appears when everything listens.",
    )
    parser.set_defaults(run=_run)
    add_folder(parser, "folder for plant.json, edge.toml, truth.jsonl and the servers' keys")
    add_seed(parser)
    parser.add_argument(
        "--scenario",
        default="demo",
        help=f"which plant: {', '.join(scenario_names())} (default demo)",
    )
    parser.add_argument(
        "--part",
        default="1/1",
        metavar="K/N",
        help="carry the K-th of N parts of the servers only, so that a large plant runs in several "
        "processes, each in a folder of its own (default 1/1)",
    )
    add_network(parser)
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="play at once, whether or not an edge agent has subscribed",
    )
    faults = parser.add_argument_group("faults", "`staybolt-sim fault` asks for them.")
    faults.add_argument(
        "--control",
        action="store_true",
        help="open a control port for faults, and put a door before every server",
    )
    faults.add_argument(
        "--control-port", type=port, metavar="PORT", help="its port (default: a free one)"
    )
    pace = parser.add_argument_group("pace", "History is played first, then the plant is live.")
    for name, text in (
        ("--history-days", "how far before now the play begins"),
        ("--slow-days", "how much of that, at its end, is played slowly"),
        ("--fast-h-per-s", "machine hours per second before that"),
        ("--slow-h-per-s", "machine hours per second in the slow part"),
    ):
        pace.add_argument(
            name, type=float, metavar="N", help=f"{text} (default: what the scenario says)"
        )


def _run(options: argparse.Namespace) -> None:
    asyncio.run(_play(options))


def _part(text: str) -> tuple[int, int]:
    number, slash, n_parts = text.partition("/")
    if not slash or not number.isdecimal() or not n_parts.isdecimal():
        msg = f"--part: {text!r} is not a part; write for example 2/3"
        raise ScenarioError(msg)
    return int(number), int(n_parts)


def _pace(options: argparse.Namespace, scenario: ClockSection) -> ClockSettings:
    """Options win over the scenario; a short history is all slow."""
    pace = {
        name: chosen if (chosen := getattr(options, name)) is not None else value
        for name, value in scenario.model_dump().items()
    }
    pace["slow_days"] = min(pace["slow_days"], pace["history_days"])
    return ClockSettings(**pace)


async def _play(options: argparse.Namespace) -> None:
    # asyncua takes half a second to load; offline work does without.
    from simulators.faults.control import ControlServer
    from simulators.live.files import write_edge_toml, write_plant_json
    from simulators.live.play import describe_clock, first_moments, play_plant
    from simulators.live.stage import Stage, StageSettings
    from simulators.live.trouble import Trouble
    from simulators.plant.truth import write_truth

    scenario = load_scenario(options.scenario).part(*_part(options.part))
    plan = edge_plan(options)
    # Whole seconds, so that plant.json tells exactly what the plant was drawn from.
    now_ns = time.time_ns() // NS_PER_S * NS_PER_S
    clock = PlantClock(_pace(options, scenario.file.clock), now_ns)
    machines = build_plant(
        scenario.roles,
        seed=options.seed,
        now_ns=clock.now_ns,
        history_days=clock.settings.history_days,
    )
    settings = StageSettings(
        options.dir,
        scenario.file.site,
        tuple(options.trust_client),
        options.opcua_port,
        options.mqtt_port,
        scenario.formats,
        scenario.opcua,
        has_doors=options.control,
    )
    stage = Stage(settings, first_moments(machines, clock))
    sensor_faults = scenario.sensor_faults(clock.now_ns)
    trouble = Trouble(stage, options.seed, sensor_faults, scenario.delivery)
    control = ControlServer(trouble, options.dir / "control.token") if options.control else None
    progress = Progress()
    async with on_stage(stage) as stop:
        if control is not None:
            await control.start(options.control_port or 0)
        write_truth(
            options.dir / "truth.jsonl",
            machines,
            start_ns=clock.start_ns,
            now_ns=clock.now_ns,
            faults=[fault.fact() for fault in sensor_faults],
        )
        if plan is not None:
            write_edge_toml(options.dir / "edge.toml", stage, plan)
        write_plant_json(options.dir / "plant.json", stage, describe_clock(clock), control)
        progress.say(f"the plant is up: {options.dir / 'plant.json'}")
        await play_plant(
            stage, machines, clock, progress, stop, does_wait=not options.no_wait, trouble=trouble
        )
        if control is not None:
            await control.stop()
    progress.say("the plant has stopped")
