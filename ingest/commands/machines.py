"""``staybolt-ingest machines``: those that have announced themselves, and what becomes of them."""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.announced import AnnouncedMachines, AnnouncedSignal, State
from ingest.catalogue import FileCatalogue, append_machines
from ingest.commands.shared import EXIT_OK, EXIT_SETTINGS, add_config
from ingest.errors import SettingsError
from ingest.quarantine import Quarantine
from ingest.settings import IngestSettings, load_settings
from ingest.validation import UNKNOWN_MACHINE

if TYPE_CHECKING:
    from ingest.commands.shared import Commands


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    machines = commands.add_parser(
        "machines",
        help="look at machines that have announced themselves, confirm or reject them",
        description=(
            "Look at the machines that have announced themselves by a first line or a Sparkplug "
            "birth, and confirm or reject them. What they send until then is in the quarantine."
        ),
    )
    actions = machines.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="list machines that wait to be confirmed",
        description=(
            "List machines that wait to be confirmed: their signals, units and ranges as far as "
            "they tell them, and how many of their samples are set aside."
        ),
    )
    add_config(listing)
    listing.add_argument(
        "--signals", action="store_true", help="also new signals of machines that are known"
    )
    listing.add_argument("--rejected", action="store_true", help="also machines that were rejected")
    listing.add_argument("--json", action="store_true", help="one JSON object for each signal")
    listing.set_defaults(act=_list)
    confirm = actions.add_parser(
        "confirm",
        help="let machines send, and have what they sent tried again",
        description=(
            "Add machines to machines_file. While ingest runs, their lines in the quarantine are "
            "tried again within a minute."
        ),
    )
    add_config(confirm)
    confirm.add_argument("machine", nargs="+", help="names of machines, from `list`")
    confirm.set_defaults(act=_confirm)
    reject = actions.add_parser(
        "reject",
        help="list machines no longer",
        description=(
            "List machines no longer. What they send still goes to the quarantine, and they can be "
            "confirmed later."
        ),
    )
    add_config(reject)
    reject.add_argument("machine", nargs="+", help="names of machines, from `list`")
    reject.set_defaults(act=_reject)


def _list(options: argparse.Namespace) -> int:
    settings = load_settings(options.config)
    catalogue = FileCatalogue(_machines_file(settings, options.config.name))
    with AnnouncedMachines.beside(settings.quarantine.path, must_exist=True) as announced:
        states: tuple[State, ...] = ("new", "rejected") if options.rejected else ("new",)
        found = announced.signals(*states)
    shown = [one for one in found if options.signals or not catalogue.is_known(one.machine)]
    if options.json:
        for one in shown:
            print(json.dumps(asdict(one)))
        return EXIT_OK
    machines = 0
    for (machine, site), signals in groupby(shown, lambda one: (one.machine, one.site)):
        machines += 1
        _print_machine(machine, site, list(signals), is_known=catalogue.is_known(machine))
    print(f"{machines} machines; `staybolt-ingest machines confirm NAME` lets one send")
    return EXIT_OK


def _print_machine(
    machine: str, site: str, signals: list[AnnouncedSignal], *, is_known: bool
) -> None:
    first_s = min(one.first_seen_ns for one in signals) / 1e9
    n_set_aside = sum(one.n_set_aside for one in signals)
    told = "known, with new signals" if is_known else f"{n_set_aside} samples set aside"
    if signals[0].state == "rejected":
        told += ", rejected"
    print(f"{machine}  site {site}  since {datetime.fromtimestamp(first_s, UTC):%F %T} UTC  {told}")
    for one in signals:
        bounds = ("…" if bound is None else f"{bound:g}" for bound in (one.lowest, one.highest))
        has_range = one.lowest is not None or one.highest is not None
        print(
            f"    {one.signal}  [{one.unit or 'unit not told'}]"
            + (f"  {' to '.join(bounds)}" if has_range else "")
        )


def _confirm(options: argparse.Namespace) -> int:
    settings = load_settings(options.config)
    path = _machines_file(settings, options.config.name)
    with (
        AnnouncedMachines.beside(settings.quarantine.path, must_exist=True) as announced,
        Quarantine(settings.quarantine.path) as quarantine,
    ):
        if not _are_announced(announced, options.machine):
            return EXIT_SETTINGS
        added = append_machines(path, options.machine)
        announced.settle(options.machine, "confirmed")
        reasons = {UNKNOWN_MACHINE + machine for machine in options.machine}
        n_lines = quarantine.want_where(UNKNOWN_MACHINE, reasons.__contains__)
    print(
        f"{len(added)} machines added to {path.name}; {n_lines} lines of the quarantine are to be "
        "tried again, within a minute"
    )
    return EXIT_OK


def _reject(options: argparse.Namespace) -> int:
    settings = load_settings(options.config)
    with AnnouncedMachines.beside(settings.quarantine.path, must_exist=True) as announced:
        if not _are_announced(announced, options.machine):
            return EXIT_SETTINGS
        announced.settle(options.machine, "rejected")
    print(f"{len(options.machine)} machines rejected; what they sent is still in the quarantine")
    return EXIT_OK


def _are_announced(announced: AnnouncedMachines, machines: list[str]) -> bool:
    known = {one.machine for one in announced.signals("new", "confirmed", "rejected")}
    strange = [machine for machine in machines if machine not in known]
    if strange:
        print(
            f"{', '.join(map(repr, strange))} has not announced itself, and nothing was changed; "
            "`machines list` shows those that have",
            file=sys.stderr,
        )
    return not strange


def _machines_file(settings: IngestSettings, config_name: str) -> Path:
    if settings.machines_file is None:
        msg = (
            f"{config_name}, machines_file: missing, so every machine may send and none has to be "
            "confirmed; name a file to decide who may"
        )
        raise SettingsError(msg)
    return settings.machines_file
