"""``staybolt-sim list``: what there is to play with."""

import argparse
from importlib import resources

from simulators.conditions import SHIFT_PLANS
from simulators.errors import ScenarioError
from simulators.faults import proxy, sensors
from simulators.machines import KINDS
from simulators.replay.mapping import load_mapping, mapping_names
from simulators.scenarios.loading import load_scenario, scenario_names, scenario_path


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "list",
        help="scenarios, kinds of machine, faults and replays",
        description="Show what there is to play with. `list scenarios NAME` prints a scenario's "
        "file, to be copied and changed; that of demo explains every option. `list replays NAME` "
        "prints the mapping of a recorded machine; that of skab explains every option.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("scenarios", "kinds", "faults", "replays"),
        default="scenarios",
        help="what to show (default scenarios)",
    )
    parser.add_argument("name", nargs="?", help="one scenario, kind or mapping")
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> None:
    match options.what, options.name:
        case "scenarios", None:
            _show_scenarios()
        case "scenarios", name:
            print(scenario_path(name).read_text(encoding="utf-8"), end="")
        case "kinds", name:
            _show_kinds(name)
        case "replays", None:
            _show_replays()
        case "replays", name:
            _show_mapping(name)
        case _:
            _show_faults()


def _show_scenarios() -> None:
    for name in scenario_names():
        scenario = load_scenario(name)
        print(f"{name:16} {len(scenario.roles):5} machines  {scenario.file.description}")


def _show_kinds(name: str | None) -> None:
    if name not in {None, *KINDS}:
        msg = f"list kinds: {name!r} is not known; choose one of {', '.join(KINDS)}"
        raise ScenarioError(msg)
    for kind in KINDS.values():
        if name in {None, kind.key}:
            print(f"{kind.key} ({kind.model})")
            print(f"  signals: {', '.join(kind.signals)}")
            print(f"  failure modes: {', '.join(mode.key for mode in kind.modes)}")
    print(f"shift plans: {', '.join(SHIFT_PLANS)}")


def _show_replays() -> None:
    print("records with a reader of their own (`replay RECORD --data ...`):")
    print("  cmapss         NASA's turbofan engines, all subsets")
    print("  femto          a bearing of the IEEE PHM 2012 challenge, raw vibration included")
    print("mappings (`replay file --mapping NAME --data FILE`; a CSV or Parquet file a machine):")
    for name in mapping_names():
        print(f"  {name:14} {load_mapping(name).description}")


def _show_mapping(name: str) -> None:
    if name not in mapping_names():
        msg = f"list replays: {name!r} is no mapping; choose one of {', '.join(mapping_names())}"
        raise ScenarioError(msg)
    file = resources.files("simulators.replay") / "mappings" / f"{name}.toml"
    print(file.read_text(encoding="utf-8"), end="")


def _show_faults() -> None:
    print("sensors (`fault --dir DIR sensor MACHINE SIGNAL FAULT`):")
    for name, words in sensors.WORDS.items():
        print(f"  {name:14} {words}")
    print("network (`fault --dir DIR network SERVER MODE`):")
    for mode, words in proxy.WORDS.items():
        print(f"  {mode:14} {words}")
    print("servers (`fault --dir DIR server SERVER WHAT`): restart, rotate-certificate,")
    print("  expire-certificate; nodes (`node MACHINE SIGNAL WHAT`): vanish, bring-back;")
    print("delivery (`delivery KEY=VALUE ...`): duplicate_probability, late_probability, late_s,")
    print("  clock_offset_s, clock_skew_ppm; `clear` mends all, `status` says what is wrong")
