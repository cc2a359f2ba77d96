"""``staybolt-ingest``: takes line protocol over HTTP and keeps it."""

import argparse
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvicorn

from ingest.catalogue import FileCatalogue, OpenCatalogue
from ingest.errors import IngestError, SettingsError, StoreUnavailableError
from ingest.keeper import Keeper
from ingest.mqtt_receiver import MqttReceiver
from ingest.opening import open_store
from ingest.ports import TelemetryStore
from ingest.quarantine import Quarantine, QuarantinedLine
from ingest.receiver import make_receiver
from ingest.service import IngestService
from ingest.settings import SAMPLE_CONFIG, IngestSettings, load_settings
from ingest.tokens import TokenTable

logger = logging.getLogger("ingest")

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_SETTINGS: Final = 2

_SHOWN_CHARACTERS: Final = 100
_LARGEST_NUMBER: Final = 2**63 - 1

# Requests under way at a stop are answered; a sender that hangs is not waited for longer.
_STOP_TIMEOUT_S: Final = 10


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns
    -------
    argparse.ArgumentParser
        The parser of ``staybolt-ingest``.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt-ingest",
        description=(
            "Takes telemetry over InfluxDB's write API and keeps it in DuckDB or InfluxDB. A write "
            "is acknowledged only when the store has answered that it is durable; lines that can't "
            "be taken are set aside with a reason and a remedy."
        ),
        epilog="Begin with `staybolt-ingest sample-config > ingest.toml`, adapt it, then `serve`.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="take telemetry until stopped",
        description="Take telemetry until stopped by SIGTERM or Ctrl-C.",
    )
    _add_config(serve)
    commands.add_parser(
        "sample-config",
        help="print a settings file that explains every option",
        description="Print a settings file that explains every option.",
    )
    quarantine = commands.add_parser(
        "quarantine",
        help="look at the lines that were set aside",
        description="Look at the lines that were set aside. May be used while ingest runs.",
    )
    actions = quarantine.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="list lines with their reasons, newest first",
        description="List the lines that were set aside with their reasons, newest first.",
    )
    _add_quarantine_place(listing)
    listing.add_argument(
        "--limit", type=_number, default=20, metavar="N",
        help="lines at most (default: %(default)s)",
    )  # fmt: skip
    listing.add_argument(
        "--before", type=_number, metavar="ID", help="go on below this number, from an earlier list"
    )
    listing.add_argument(
        "--json", action="store_true", help="one JSON object on each line, the lines whole"
    )
    show = actions.add_parser(
        "show",
        help="show one line whole, and how to mend it",
        description="Show one line whole, why it was set aside, and how to mend it.",
    )
    _add_quarantine_place(show)
    show.add_argument("id", type=_number, help="number of the line, from `list`")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``staybolt-ingest``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; None takes the process's own.

    Returns
    -------
    int
        0 if all went well, 2 for bad settings, 1 for any other failure.
    """
    options = build_parser().parse_args(arguments)
    try:
        match options.command:
            case "serve":
                return _serve(load_settings(options.config), options.config.name)
            case "sample-config":
                print(SAMPLE_CONFIG.read_text(encoding="utf-8"), end="")
                return EXIT_OK
            case _:
                return _quarantine(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_SETTINGS
    except IngestError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILURE
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does.
        _forget_output()
        return EXIT_OK
    except OSError as error:
        _forget_output()
        where = "" if error.filename is None else f"{error.filename}: "
        print(
            f"{where}{error.strerror or error}; check that the disk has room, also where the "
            "output goes, and that this user may read and write there",
            file=sys.stderr,
        )
        return EXIT_FAILURE


def _forget_output() -> None:
    """Send what is still to be written nowhere, or Python complains of it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _number(text: str) -> int:
    """Read a number from 1 up that SQLite can hold.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= _LARGEST_NUMBER:
        msg = f"{text!r} is not a number from 1 to {_LARGEST_NUMBER}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _add_quarantine_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--config", type=Path, help="settings file of ingest, see `sample-config`")
    place.add_argument(
        "--file", type=Path,
        help="the quarantine itself: quarantine.sqlite in the state folder of `staybolt serve`",
    )  # fmt: skip


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, help="settings file, see `sample-config`"
    )


# --- serve -------------------------------------------------------------------------------------


def _serve(settings: IngestSettings, config_name: str) -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    token_check = TokenTable.read(settings.token_file)
    catalogue = (
        OpenCatalogue() if settings.machines_file is None else FileCatalogue(settings.machines_file)
    )
    if settings.tls is not None:
        settings.tls.check()
    with (
        _listen(settings.host, settings.port, config_name) as listener,
        contextlib.closing(_open_store(settings, config_name)) as store,
        Quarantine(
            settings.quarantine.path,
            max_rows=settings.quarantine.max_rows,
            max_bytes=settings.quarantine.max_bytes,
        ) as quarantine,
    ):
        service = IngestService(
            store,
            quarantine,
            catalogue,
            time.time_ns,
            token_check,
            limits=settings.limits,
        )
        with Keeper(store, time.time_ns, settings.raw_days), _mqtt_receiver(service, settings):
            _run(service, listener, settings)
        for device, counts in sorted(service.counts().items()):
            logger.info(
                "%s: %d samples stored, %d lines set aside",
                device,
                counts.n_accepted,
                counts.n_set_aside,
            )
    return EXIT_OK


def _mqtt_receiver(
    service: IngestService, settings: IngestSettings
) -> contextlib.AbstractContextManager[object]:
    if settings.mqtt is None:
        return contextlib.nullcontext()
    return MqttReceiver(service, settings.mqtt, max_body_bytes=settings.max_body_bytes)


def _run(service: IngestService, listener: socket.socket, settings: IngestSettings) -> None:
    tls = settings.tls
    server = uvicorn.Server(
        uvicorn.Config(
            make_receiver(service, max_body_bytes=settings.max_body_bytes),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_STOP_TIMEOUT_S,
            ssl_certfile=None if tls is None else tls.certificate_file,
            ssl_keyfile=None if tls is None else tls.key_file,
        )
    )
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.info("taking telemetry at %s://%s:%d", "http" if tls is None else "https", shown, port)
    # Uvicorn stops on these signals by itself, then sends them once more; by then there is
    # nothing left to interrupt but the closing of the store.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    server.run(sockets=[listener])


def _open_store(settings: IngestSettings, config_name: str) -> TelemetryStore:
    try:
        return open_store(settings.store)
    except StoreUnavailableError as error:
        msg = f"{config_name}, store: {error}"
        raise SettingsError(msg) from error


def _listen(host: str, port: int, config_name: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        msg = (
            f"{config_name}, host and port: {host} port {port} can't be had ({error.strerror}); "
            "stop what listens there, or choose another (port 0 takes a free one)"
        )
        raise SettingsError(msg) from error


# --- quarantine --------------------------------------------------------------------------------


def _quarantine(options: argparse.Namespace) -> int:
    path = options.file or load_settings(options.config).quarantine.path
    with Quarantine(path, must_exist=True) as quarantine:
        if options.action == "show":
            return _show(quarantine, options.id)
        lines = quarantine.lines(limit=options.limit, before_id=options.before)
        count = quarantine.count()
    if options.json:
        for line in lines:
            print(json.dumps(asdict(line)))
        return EXIT_OK
    for line in lines:
        print(f"{line.id}  {_time_of(line)}  {line.device}  {_plain(line.reason)}")
        text = _plain(line.line)
        is_long = len(text) > _SHOWN_CHARACTERS
        print(f"    {text[:_SHOWN_CHARACTERS]}{'…' if is_long else ''}")
    print(
        f"{count.n_kept} lines are set aside"
        + (f", {count.n_dropped} older ones had to make room" if count.n_dropped else "")
    )
    return EXIT_OK


def _show(quarantine: Quarantine, line_id: int) -> int:
    line = quarantine.show(line_id)
    if line is None:
        print(
            f"there is no line {line_id}; `quarantine list` shows those that there are",
            file=sys.stderr,
        )
        return EXIT_SETTINGS
    print(
        f"line      {_plain(line.line)}\n"
        f"received  {_time_of(line)} from {line.device}\n"
        f"reason    {_plain(line.reason)}\n"
        f"remedy    {_plain(line.remedy)}"
    )
    return EXIT_OK


def _time_of(line: QuarantinedLine) -> str:
    return f"{datetime.fromtimestamp(line.received_at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _plain(text: str) -> str:
    """Show control characters as escapes: a line must not steer the terminal it is shown on."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


if __name__ == "__main__":
    sys.exit(main())
