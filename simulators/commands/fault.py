"""``staybolt-sim fault``: let something go wrong in a running plant, or mend it."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from simulators.errors import ScenarioError
from simulators.faults.client import ControlClient

_WORDS: Final = frozenset({"direction"})
_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "sensor": ("machine", "signal", "fault"),
    "network": ("server", "mode"),
    "server": ("server", "what"),
    "node": ("machine", "signal", "what"),
    "delivery": (),
    "clear": (),
    "status": (),
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "fault",
        help="let something go wrong in a running plant, or mend it",
        description="Ask a plant that was started with --control for a fault. `staybolt-sim list "
        "faults` shows them all.",
        epilog="examples:\n"
        "  staybolt-sim fault --dir plant sensor pump-01 flow_m3_h drift size=2.5\n"
        "  staybolt-sim fault --dir plant network mqtt half-open\n"
        "  staybolt-sim fault --dir plant network mqtt flip every_bytes=500 direction=to-server\n"
        "  staybolt-sim fault --dir plant server conveyors restart down_s=5\n"
        "  staybolt-sim fault --dir plant clear\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the running plant",
    )
    parser.add_argument("do", choices=tuple(_PLACES), help="what to touch")
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="where and what, then KEY=VALUE for more"
    )
    parser.set_defaults(run=_ask)


def _ask(options: argparse.Namespace) -> None:
    request: dict[str, Any] = {}
    plain = [word for word in options.words if "=" not in word]
    places = _PLACES[options.do]
    if len(plain) != len(places):
        wanted = " ".join(place.upper() for place in places) or "nothing"
        msg = f"fault {options.do}: {' '.join(plain) or 'nothing'} given, {wanted} expected"
        raise ScenarioError(msg)
    request.update(zip(places, plain, strict=True))
    for word in options.words:
        key, sign, value = word.partition("=")
        if sign:
            request[key] = value if key in _WORDS else _number(key, value)
    with ControlClient.of_plant(options.dir) as plant:
        answer = plant.ask(do=options.do, **request)
    print(json.dumps(answer, indent=1) if answer else "done")


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"{key}: {text!r} is not a number"
        raise ScenarioError(msg) from error
