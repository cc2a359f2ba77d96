"""``staybolt-edge outbox``: look into what waits, copy it out, and mend what was set aside."""

import argparse
import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from edge_agent.commands.shared import EXIT_FAILURE, EXIT_OK, add_config
from edge_agent.errors import EdgeError, SettingsError
from edge_agent.outbox import Outbox, QuarantineDesk
from edge_agent.records import GapEvent, QuarantineEntry, StoredRecord
from edge_agent.settings import Settings
from edge_agent.settings_file import load_settings
from ingest.telemetry import decode_lines

if TYPE_CHECKING:
    from edge_agent.commands.shared import Commands

SHOWN_BODY_BYTES: Final = 200
EXPORTED_AT_ONCE: Final = 100
"""Records read in one look, so that a running agent is never held up."""


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "outbox",
        help="look into what waits, copy it out, mend what was set aside",
        description=(
            "Look into the outbox, copy what waits into a file, and mend what was set aside. All "
            "of it may be done while the agent runs. Without an action it does what `inspect` does."
        ),
        epilog="Begin with `staybolt-edge outbox --config edge.toml inspect`.",
    )
    add_config(parser)
    parser.set_defaults(act=_inspect, quarantine=10, gaps=10)
    actions = parser.add_subparsers(metavar="ACTION")

    inspect = actions.add_parser(
        "inspect",
        help="show what waits, what was given up and what was set aside",
        description=(
            "Show what waits in the outbox, what had to be given up for room and why, and what was "
            "set aside with its reason. Changes nothing."
        ),
    )
    inspect.add_argument("--quarantine", type=int, default=10, metavar="N", help=_LAST)
    inspect.add_argument("--gaps", type=int, default=10, metavar="N", help=_LAST_GAPS)
    inspect.set_defaults(act=_inspect)

    export = actions.add_parser(
        "export",
        help="copy what waits into a file",
        description=(
            "Copy what waits into a file that InfluxDB or a spreadsheet can read, oldest first; it "
            "stays in the outbox and is sent all the same. Damaged records are left out."
        ),
    )
    export.add_argument("--to", type=Path, required=True, help="file to write; must not be there")
    export.add_argument(
        "--format",
        choices=["lines", "csv"],
        default="lines",
        help="line protocol, or a table with a row for each sample (default: %(default)s)",
    )
    export.set_defaults(act=_export)
    _add_quarantine(actions)


_LAST: Final = "show the last N entries that were set aside (default: %(default)s)"
_LAST_GAPS: Final = "show the last N times that samples were given up (default: %(default)s)"


def _add_quarantine(actions: "Commands") -> None:
    quarantine = actions.add_parser(
        "quarantine",
        help="list, show, send again or drop what was set aside",
        description=(
            "What the store refused, what could not be read and what the disk damaged is set aside "
            "with its reason. Look at an entry with `show`; write it to a file, mend the file and "
            "give it to `retry --with`; or `drop` what is worth nothing."
        ),
    )
    verbs = quarantine.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list", help="list the last entries", description="List the last entries, newest first."
    )
    listing.add_argument("--quarantine", type=int, default=50, metavar="N", help=_LAST)
    listing.set_defaults(act=_list)
    show = verbs.add_parser(
        "show",
        help="print one entry whole",
        description="Print the body of one entry as it is, for example into a file to be mended.",
    )
    show.add_argument("number", type=int, help="number of the entry, as `list` shows it")
    show.set_defaults(act=_show)
    retry = verbs.add_parser(
        "retry",
        help="send entries again",
        description=(
            "Put entries back among what waits, in one step with taking them out of the "
            "quarantine. Every line is looked at first; a line that can't be sent is named."
        ),
    )
    retry.add_argument("numbers", type=int, nargs="+", help="numbers of the entries")
    retry.add_argument(
        "--with", dest="mended", type=Path, help="file of line protocol to send in place of one"
    )
    retry.set_defaults(act=_retry)
    drop = verbs.add_parser(
        "drop",
        help="delete entries for good",
        description="Delete entries for good; their samples are counted as given up by hand.",
    )
    drop.add_argument("numbers", type=int, nargs="+", help="numbers of the entries")
    drop.set_defaults(act=_drop)


def _inspect(options: argparse.Namespace) -> int:
    settings = load_settings(options.config)
    path = settings.outbox_path
    if not path.exists():
        print(f"{path}: nothing there yet; the agent makes it when it first runs")
        return EXIT_OK
    with _look(settings) as outbox:
        counts = outbox.counts()
        oldest = next(iter(outbox.peek_oldest(1)), None)
        gaps = outbox.gaps(options.gaps)
        entries = outbox.quarantine(options.quarantine)
        name = outbox.outbox_id
    print(
        f"{path} ({name})\n"
        f"waiting: {counts.n_samples} samples in {counts.n_records} records, "
        f"{counts.n_alarm_samples} of them alarms; {counts.n_thinned_records} records thinned\n"
        f"on disk: {counts.n_bytes / 1e6:.1f} of at most {settings.outbox.max_bytes / 1e6:.0f} MB"
    )
    if oldest is not None:
        print(f"oldest: record {oldest.sequence}, begins {_time_of(oldest)}")
    print(
        f"given up, ever: {counts.n_dropped_samples} samples, "
        f"{counts.n_dropped_records} records of them whole"
    )
    for gap in gaps:
        print(_gap_text(gap))
    print(
        f"set aside: {counts.n_quarantined} entries"
        f" ({counts.n_dropped_quarantined} older ones dropped for room)"
    )
    for entry in entries:
        print(_entry_text(entry))
    return EXIT_OK


def _export(options: argparse.Namespace) -> int:
    n_samples = 0
    with (
        _look(load_settings(options.config)) as outbox,
        options.to.open("x", encoding="utf-8", newline="") as file,
    ):
        if options.format == "csv":
            csv.writer(file).writerow([
                "site",
                "machine",
                "signal",
                "time_ns",
                "value",
                "quality",
                "priority",
            ])
        for record in _all_records(outbox):
            n_samples += record.n_samples
            if options.format == "csv":
                _write_rows(record, file)
            else:
                file.write(record.body.decode("utf-8", "backslashreplace"))
    print(f"{n_samples} samples written to {options.to}")
    return EXIT_OK


def _all_records(outbox: Outbox) -> Iterator[StoredRecord]:
    after = 0
    while records := outbox.peek_oldest(EXPORTED_AT_ONCE, after):
        yield from records
        after = records[-1].sequence


def _write_rows(record: StoredRecord, file: IO[str]) -> None:
    batch = decode_lines(record.body, received_at_ns=0).batch
    writer = csv.writer(file)
    for row, time_ns, value, quality in zip(
        batch.series_index.tolist(),
        batch.source_time_ns.tolist(),
        batch.value.tolist(),
        batch.quality.tolist(),
        strict=True,
    ):
        shown = "" if value != value else repr(value)  # nan: the sample carried no value
        writer.writerow([*batch.series[row], time_ns, shown, quality, record.priority])


def _list(options: argparse.Namespace) -> int:
    with _look(load_settings(options.config)) as outbox:
        for entry in outbox.quarantine(options.quarantine):
            print(_entry_text(entry))
    return EXIT_OK


def _show(options: argparse.Namespace) -> int:
    with _desk(options) as desk:
        (entry,) = _entries(desk, [options.number])
    sys.stdout.flush()
    sys.stdout.buffer.write(entry.body)
    sys.stdout.buffer.flush()
    return EXIT_OK


def _retry(options: argparse.Namespace) -> int:
    if options.mended is not None and len(options.numbers) != 1:
        msg = "--with: a mended file stands for one entry; give one number"
        raise SettingsError(msg)
    with _desk(options) as desk:
        for entry in _entries(desk, options.numbers):
            lines = entry.body if options.mended is None else options.mended.read_bytes()
            n_samples = _n_samples(entry, lines)
            sequence = desk.retry(entry, lines, n_samples)
            if sequence is None:
                print(f"entry {entry.number} is no longer there")
            else:
                print(f"entry {entry.number}: {n_samples} samples wait as record {sequence}")
    return EXIT_OK


def _n_samples(entry: QuarantineEntry, lines: bytes) -> int:
    decoded = decode_lines(lines, received_at_ns=0)
    if decoded.rejected or not len(decoded.batch):
        what = "there are no samples in it"
        if decoded.rejected:
            bad = decoded.rejected[0]
            what = f"line {bad.line_number}: {bad.reason}; {bad.remedy}"
        msg = (
            f"entry {entry.number} can't be sent: {what}; write it to a file with `quarantine show "
            f"{entry.number}`, mend it and give it to `quarantine retry {entry.number} --with FILE`"
        )
        raise SettingsError(msg)
    return len(decoded.batch)


def _drop(options: argparse.Namespace) -> int:
    with _desk(options) as desk:
        n_dropped = desk.drop(_entries(desk, options.numbers))
    print(f"{n_dropped} entries dropped")
    return EXIT_OK if n_dropped else EXIT_FAILURE


def _entries(desk: QuarantineDesk, numbers: list[int]) -> list[QuarantineEntry]:
    entries = desk.entries(numbers)
    missing = sorted(set(numbers) - {entry.number for entry in entries})
    if missing:
        msg = f"there is no entry {missing[0]} in the quarantine; `quarantine list` shows them"
        raise EdgeError(msg)
    return entries


def _look(settings: Settings) -> Outbox:
    _must_exist(settings.outbox_path)
    return Outbox(settings.outbox_path, settings.outbox.max_bytes, is_read_only=True)


def _desk(options: argparse.Namespace) -> QuarantineDesk:
    settings = load_settings(options.config)
    _must_exist(settings.outbox_path)
    return QuarantineDesk(settings.outbox_path, settings.outbox.max_bytes)


def _must_exist(path: Path) -> None:
    if not path.exists():
        msg = f"{path}: nothing there yet; the agent makes it when it first runs"
        raise EdgeError(msg)


def _time_of(record: StoredRecord) -> str:
    return _time_text(int(record.body.partition(b"\n")[0].rpartition(b" ")[2]))


def _time_text(time_ns: int | None) -> str:
    if time_ns is None:
        return "?"
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _gap_text(gap: GapEvent) -> str:
    return (
        f"  {_time_text(gap.ended_at_ns)} {gap.reason}: {gap.n_samples} samples of "
        f"{gap.n_series} series, measured {_time_text(gap.first_ns)} to {_time_text(gap.last_ns)}"
    )


def _entry_text(entry: QuarantineEntry) -> str:
    at = f"{datetime.fromtimestamp(entry.at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
    body = entry.body[:SHOWN_BODY_BYTES].decode("utf-8", "backslashreplace")
    more = "…" if len(entry.body) > SHOWN_BODY_BYTES else ""
    return (
        f"  {entry.number}. {at} {entry.kind}, {entry.origin}: {entry.reason}\n      {body!r}{more}"
    )
