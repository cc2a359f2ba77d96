"""``staybolt-sim replay``: play recorded machines as live ones."""

import argparse
import asyncio
import functools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulators.commands.shared import add_folder, add_network, edge_plan, on_stage
from simulators.progress import Progress
from simulators.replay.cmapss import parse_units, read_engines
from simulators.replay.mapping import load_mapping, mapping_names, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.live.stage import Stage
    from simulators.reading import Outlet, Readings
    from simulators.replay.play import ReplaySettings


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    replay = commands.add_parser(
        "replay",
        help="play recorded machines as live ones",
        description="Play recorded machines over the same servers as invented ones.",
    )
    records = replay.add_subparsers(dest="what", required=True, metavar="RECORD")
    _add_cmapss(
        records.add_parser(
            "cmapss",
            help="NASA's turbofan engines, C-MAPSS",
            description="Play NASA's turbofan engines, the first half of them over OPC UA and the "
            "rest over MQTT. Ends when every sample was taken.",
        )
    )
    _add_femto(
        records.add_parser(
            "femto",
            help="a bearing of the IEEE PHM 2012 challenge, raw vibration included",
            description="Play a bearing's raw record over MQTT: measures of each snapshot as "
            "signals, and the snapshot itself as a message to plant/SITE/MACHINE/vibration. Ends "
            "when every sample was taken.",
        )
    )
    _add_file(
        records.add_parser(
            "file",
            help="any CSV or Parquet file, by a mapping",
            description="Play any tables of recorded machines, a machine a file, as a mapping file "
            f"says; {', '.join(mapping_names())} come with the product. Labels go to "
            "truth.jsonl, never into telemetry. Ends when every sample was taken.",
        )
    )


def _add_cmapss(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for plant.json, edge.toml, business/*.csv and the servers' keys")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the published files, or the one above"
    )
    parser.add_argument("--subset", required=True, help="FD001, FD002, FD003 or FD004")
    parser.add_argument("--units", required=True, help="engines to play, for example 1,5,7-9")
    parser.add_argument(
        "--split",
        choices=("test", "train"),
        default="test",
        help="test ends before the failure, train runs to it (default test)",
    )
    pace = parser.add_argument_group("pace")
    for name, default, text in (
        ("--cycles-per-s", 20.0, "cycles of every engine per second"),
        ("--hours-per-cycle", 1.0, "machine time between cycles; the last one is now"),
        ("--wait-s", 120.0, "how long to wait for subscribers, and for the last samples to go"),
    ):
        pace.add_argument(
            name, type=float, default=default, metavar="N", help=f"{text} (default {default:g})"
        )
    add_network(parser)
    parser.set_defaults(run=_run)


def _add_file(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for plant.json, edge.toml, truth.jsonl, business/*.csv and keys")
    parser.add_argument(
        "--data", type=Path, required=True, action="append", metavar="FILE",
        help="CSV or Parquet file of a machine; give it again for each machine",
    )  # fmt: skip
    parser.add_argument(
        "--mapping", required=True, metavar="NAME", help="a mapping's name, or path of a .toml file"
    )
    parser.add_argument(
        "--protocol", choices=("mqtt", "opcua"), default="mqtt", help="default mqtt"
    )
    _add_pace(parser)
    add_network(parser)
    parser.set_defaults(run=_run_files)


def _add_femto(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for plant.json, edge.toml, business/*.csv and keys")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FILE.npz", help="raw vibration of a bearing"
    )
    _add_pace(parser)
    add_network(parser)
    parser.set_defaults(run=_run_femto)


def _add_pace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--most-rows", type=int, metavar="N", help="play the first N rows only (default: all)"
    )
    pace = parser.add_argument_group("pace")
    for name, default, text in (
        ("--rows-per-s", 20.0, "rows of every file per second"),
        ("--stretch", 1.0, "machine time between rows, over that of the file"),
        ("--wait-s", 120.0, "how long to wait for subscribers, and for the last samples to go"),
    ):
        pace.add_argument(
            name, type=float, default=default, metavar="N", help=f"{text} (default {default:g})"
        )


def _run_femto(options: argparse.Namespace) -> None:
    asyncio.run(_replay_femto(options))


def _run_files(options: argparse.Namespace) -> None:
    asyncio.run(_replay_files(options))


def _run(options: argparse.Namespace) -> None:
    asyncio.run(_replay(options))


async def _replay(options: argparse.Namespace) -> None:
    from simulators.replay.play import EDGE_SITE, ReplaySettings, outlets_of, readings_of

    pace = ReplaySettings(options.cycles_per_s, options.hours_per_cycle, options.wait_s)
    engines = read_engines(
        options.data, options.subset.upper(), options.split, parse_units(options.units)
    )
    now_ns = time.time_ns()
    records = [
        readings_of(engine, now_ns=now_ns, hours_per_cycle=pace.hours_per_cycle)
        for engine in engines
    ]
    clock = {
        "cycles_per_s": pace.cycles_per_s,
        "hours_per_cycle": pace.hours_per_cycle,
        "n_cycles": {engine.machine: len(engine.values) for engine in engines},
    }
    await _play(options, EDGE_SITE, outlets_of(engines), records, pace, clock)


async def _replay_files(options: argparse.Namespace) -> None:
    from simulators.replay.play import (
        RECORDED_SITE,
        ReplaySettings,
        on_the_clock,
        outlets_for,
    )

    pace = ReplaySettings(options.rows_per_s, options.stretch, options.wait_s)
    mapping = load_mapping(options.mapping)
    recordings = [
        read_recording(path, mapping, most_rows=options.most_rows) for path in options.data
    ]
    now_ns = time.time_ns()
    records = [
        on_the_clock(recording.readings, now_ns=now_ns, stretch=options.stretch)
        for recording in recordings
    ]
    with (options.dir / "truth.jsonl").open("w", encoding="utf-8") as file:
        for recording, record in zip(recordings, records, strict=True):
            for name, label in recording.labels.items():
                times = record.time_ns[label > 0].tolist()
                fact = {"fact": "label", "machine": recording.machine, "label": name}
                file.write(json.dumps({**fact, "times_ns": times}) + "\n")
    clock = {"rows_per_s": options.rows_per_s, "stretch": options.stretch}
    outlets = outlets_for(recordings, options.protocol)
    await _play(options, RECORDED_SITE, outlets, records, pace, clock)


async def _replay_femto(options: argparse.Namespace) -> None:
    from simulators.replay.femto import read_femto
    from simulators.replay.play import RECORDED_SITE, ReplaySettings, on_the_clock, outlets_for

    pace = ReplaySettings(options.rows_per_s, options.stretch, options.wait_s)
    recording, raw = read_femto(options.data, most_rows=options.most_rows)
    record = on_the_clock(recording.readings, now_ns=time.time_ns(), stretch=options.stretch)
    clock = {"rows_per_s": options.rows_per_s, "stretch": options.stretch}
    outlets = outlets_for([recording], "mqtt")

    def snapshot(stage: "Stage", row: int) -> None:
        payload = raw.message(row, int(record.time_ns[row]))
        stage.publish(recording.machine, "vibration", payload)

    await _play(options, RECORDED_SITE, outlets, [record], pace, clock, snapshot)


async def _play(
    options: argparse.Namespace,
    site: str,
    outlets: "list[Outlet]",
    records: "list[Readings]",
    pace: "ReplaySettings",
    clock: dict[str, Any],
    beside: "Callable[[Stage, int], None] | None" = None,
) -> None:
    from simulators.live.files import write_edge_toml, write_plant_json
    from simulators.live.stage import Stage, StageSettings
    from simulators.replay.business import write_replay_business
    from simulators.replay.play import replay

    plan = edge_plan(options)
    settings = StageSettings(
        options.dir, site, tuple(options.trust_client), options.opcua_port, options.mqtt_port
    )
    first = {outlet: record.moment(0) for outlet, record in zip(outlets, records, strict=True)}
    stage = Stage(settings, first)
    progress = Progress()
    now_ns = time.time_ns()
    async with on_stage(stage) as stop:
        first_ns = min(moment.time_ns for moment in first.values())
        write_replay_business(options.dir / "business", outlets, first_ns=first_ns, now_ns=now_ns)
        if plan is not None:
            write_edge_toml(options.dir / "edge.toml", stage, plan)
        write_plant_json(options.dir / "plant.json", stage, clock)
        progress.say(f"the machines are up: {options.dir / 'plant.json'}")
        told = None if beside is None else functools.partial(beside, stage)
        sent = await replay(stage, records, pace, progress, stop, told)
    for each in sent:
        print(
            f"{each.outlet.machine}: {each.n_cycles} cycles, {each.n_samples} samples over "
            f"{each.outlet.protocol}"
        )
    n_samples = sum(each.n_samples for each in sent)
    print(f"all {n_samples} samples of {len(sent)} machines were taken")
