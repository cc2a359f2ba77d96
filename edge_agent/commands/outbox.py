"""``staybolt-edge outbox``: what waits, was dropped and was set aside."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge_agent.commands.shared import EXIT_OK, add_config
from edge_agent.outbox import Outbox
from edge_agent.records import QuarantineEntry, StoredRecord
from edge_agent.settings_file import load_settings

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands

SHOWN_BODY_BYTES: Final = 200


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "outbox",
        help="show what waits, was dropped and was set aside",
        description=(
            "Show what waits in the outbox, what had to be dropped, and what was set aside with "
            "its reason. May be used while the agent runs."
        ),
    )
    add_config(parser)
    parser.add_argument(
        "--quarantine",
        type=int,
        default=10,
        metavar="N",
        help="show the last N entries that were set aside (default: %(default)s)",
    )
    parser.set_defaults(act=_show)


def _show(options: argparse.Namespace) -> int:
    settings = load_settings(options.config)
    path = settings.outbox_path
    if not path.exists():
        print(f"{path}: nothing there yet; the agent makes it when it first runs")
        return EXIT_OK
    with Outbox(path, settings.outbox.max_bytes, is_read_only=True) as outbox:
        counts = outbox.counts()
        oldest = next(iter(outbox.peek_oldest(1)), None)
        entries = outbox.quarantine(options.quarantine)
    print(
        f"{path}\n"
        f"waiting: {counts.n_samples} samples in {counts.n_records} records, "
        f"{counts.n_bytes / 1e6:.1f} of at most {settings.outbox.max_bytes / 1e6:.0f} MB"
    )
    if oldest is not None:
        print(f"oldest: record {oldest.sequence}, begins {_time_of(oldest)}")
    print(
        f"dropped for room, ever: {counts.n_dropped_samples} samples in "
        f"{counts.n_dropped_records} records"
    )
    print(
        f"set aside: {counts.n_quarantined} entries"
        f" ({counts.n_dropped_quarantined} older ones dropped for room)"
    )
    for entry in entries:
        print(_entry_text(entry))
    return EXIT_OK


def _time_of(record: StoredRecord) -> str:
    time_ns = int(record.body.partition(b"\n")[0].rpartition(b" ")[2])
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _entry_text(entry: QuarantineEntry) -> str:
    at = f"{datetime.fromtimestamp(entry.at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
    body = entry.body[:SHOWN_BODY_BYTES].decode("utf-8", "backslashreplace")
    more = "…" if len(entry.body) > SHOWN_BODY_BYTES else ""
    return f"  {at} {entry.kind}, {entry.origin}: {entry.reason}\n      {body!r}{more}"
