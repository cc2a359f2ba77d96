"""Command line of ``staybolt-sim``; its help teaches how the parts go together."""

import argparse
from pathlib import Path
from typing import Final

from simulators.plant.machine import SCENARIOS

_DESCRIPTION: Final = """\
Simulated machines for Staybolt: they speak OPC UA and MQTT as real ones do, wear, fail and are
repaired, and what is true about them is written to a file, never through telemetry.
"""

_EXAMPLES: Final = """\
examples:
  staybolt-edge keys --state-dir edge          # makes and names the agent's certificate
  staybolt-sim run --dir plant --seed 7 --trust-client edge/pki/own/certificate.der \\
      --uplink-url http://127.0.0.1:8086 --uplink-token-file token --edge-state-dir edge
  staybolt-edge run --config plant/edge.toml   # play begins when it has subscribed

  staybolt-sim replay cmapss --data DIR --subset FD001 --units 1,5,9 --dir replay \\
      --trust-client edge/pki/own/certificate.der \\
      --uplink-url http://127.0.0.1:8086 --uplink-token-file token --edge-state-dir edge
  staybolt-sim generate run-to-failure --dir histories --seed 7
  staybolt-sim generate business --dir business --seed 7

exit code: 0 done, 1 samples were not taken, 2 something in the options or the data is wrong
"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Returns
    -------
    argparse.ArgumentParser
        Sets ``command``, ``what`` and an attribute for each option.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt-sim",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(
        commands.add_parser(
            "run",
            help="play a plant over OPC UA and MQTT until stopped",
            description="Play a plant over OPC UA and MQTT: 60 days of history first, then live, "
            "until stopped. plant.json appears when everything listens.",
        )
    )
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
    generate = commands.add_parser(
        "generate", help="make data offline, as CSV", description="Make data offline, as CSV."
    )
    things = generate.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_run_to_failure(
        things.add_parser(
            "run-to-failure",
            help="machines from new to failed, a file a kind",
            description="Write machines from new to failed, one CSV for each kind, to fit health "
            "models on.",
        )
    )
    _add_business(
        things.add_parser(
            "business",
            help="two years of customers, contracts, visits and more",
            description="Write two years of customers, contracts, visits and more, one CSV for "
            "each table, for `staybolt import`.",
        )
    )
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(what=None)
    _add_folder(parser, "folder for plant.json, edge.toml, truth.jsonl and the servers' keys")
    _add_seed(parser)
    parser.add_argument(
        "--scenario",
        default="demo",
        help=f"which plant: {', '.join(SCENARIOS)} (default demo)",
    )
    _add_network(parser)
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="play at once, whether or not an edge agent has subscribed",
    )
    pace = parser.add_argument_group("pace", "History is played first, then the plant is live.")
    for name, default, text in (
        ("--history-days", 60.0, "how far before now the play begins"),
        ("--slow-days", 10.0, "how much of that, at its end, is played slowly"),
        ("--fast-h-per-s", 100.0, "machine hours per second before that"),
        ("--slow-h-per-s", 4.0, "machine hours per second in the slow part"),
    ):
        pace.add_argument(
            name, type=float, default=default, metavar="N", help=f"{text} (default {default:g})"
        )


def _add_cmapss(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser, "folder for plant.json, edge.toml, business/*.csv and the servers' keys")
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
    _add_network(parser)


def _add_run_to_failure(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser, "folder for one <kind>.csv each: unit,time_h,<signal>,…")
    _add_seed(parser)
    parser.add_argument(
        "--units-per-kind", type=int, default=20, metavar="N", help="units in a file (default 20)"
    )


def _add_business(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser, "folder for customers.csv, visits.csv and the other tables")
    _add_seed(parser)
    parser.add_argument(
        "--until", metavar="TIME", help="where the two years end, 2026-01-31 (default now)"
    )


def _add_folder(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help=text)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=int, default=7, metavar="N", help="same seed, same machines (default 7)"
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    servers = parser.add_argument_group("servers", "All of them listen on 127.0.0.1 only.")
    servers.add_argument(
        "--trust-client",
        type=Path,
        action="append",
        required=True,
        metavar="CERT.der",
        help="certificate of a client that may read over OPC UA; give it again for each client",
    )
    servers.add_argument(
        "--opcua-port", type=_port, metavar="PORT", help="first OPC UA port (default: free ones)"
    )
    servers.add_argument(
        "--mqtt-port", type=_port, metavar="PORT", help="MQTT port (default: a free one)"
    )
    edge = parser.add_argument_group("edge agent", "With these, edge.toml is written for it.")
    edge.add_argument("--uplink-url", metavar="URL", help="where the agent sends samples")
    edge.add_argument(
        "--uplink-token-file", type=Path, metavar="FILE", help="file with the token for that"
    )
    edge.add_argument(
        "--edge-state-dir",
        type=Path,
        metavar="DIR",
        help="folder of the agent's outbox and keys (default: edge below --dir)",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        msg = f"{text} is not a port; give a number from 1 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
