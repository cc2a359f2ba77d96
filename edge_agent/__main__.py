"""``staybolt-edge``: the program on a site's field device."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge_agent.check import Finding, check_connections, check_files
from edge_agent.core import AgentCore
from edge_agent.counters import Counters
from edge_agent.errors import EdgeError, SettingsError
from edge_agent.keys import ensure_keys
from edge_agent.outbox import Outbox
from edge_agent.ports import Source
from edge_agent.records import QuarantineEntry, StoredRecord
from edge_agent.runtime import Runtime
from edge_agent.settings import Settings
from edge_agent.settings_file import SAMPLE_CONFIG, load_settings, read_secret
from edge_agent.sources.mqtt import MqttSource
from edge_agent.sources.opcua import OpcuaSource
from edge_agent.uplink import HttpUplink

logger = logging.getLogger("edge_agent")

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_SETTINGS: Final = 2

SHOWN_BODY_BYTES: Final = 200


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns
    -------
    argparse.ArgumentParser
        The parser of ``staybolt-edge``.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt-edge",
        description=(
            "Reads machines over OPC UA and MQTT, keeps every sample in a durable outbox, and "
            "sends it to Staybolt or InfluxDB. It only ever reads; a sample is forgotten only when "
            "the store has answered that it is durable."
        ),
        epilog="Begin with `staybolt-edge sample-config > edge.toml`, then `check`, then `run`.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="read, keep and send until stopped",
        description=(
            "Read, keep and send until stopped by SIGTERM or Ctrl-C. Everything received is in the "
            "outbox before the program ends."
        ),
    )
    _add_config(run)
    run.add_argument(
        "--verbose", action="store_true", help="log also what the OPC UA library has to say"
    )

    check = commands.add_parser(
        "check",
        help="look at settings, files and servers",
        description=(
            "Look at the settings and the files they name, and say how to mend what is wrong."
        ),
    )
    _add_config(check)
    check.add_argument(
        "--connect",
        action="store_true",
        help="also connect to the store, every server and every broker, and read every node once",
    )

    keys = commands.add_parser(
        "keys",
        help="make the agent's own certificate",
        description=(
            "Make the agent's own OPC UA certificate and key if they are not there, and print the "
            "certificate's path; copy that file into the trust list of each OPC UA server."
        ),
    )
    keys.add_argument(
        "--state-dir", type=Path, required=True, help="state folder of the agent, as in edge.toml"
    )
    keys.add_argument(
        "--application-uri",
        help="application URI of a new certificate (default: urn:staybolt:edge: and the host name)",
    )

    commands.add_parser(
        "sample-config",
        help="print a settings file that explains every option",
        description="Print a settings file that explains every option.",
    )

    outbox = commands.add_parser(
        "outbox",
        help="show what waits, was dropped and was set aside",
        description=(
            "Show what waits in the outbox, what had to be dropped, and what was set aside with "
            "its reason. May be used while the agent runs."
        ),
    )
    _add_config(outbox)
    outbox.add_argument(
        "--quarantine",
        type=int,
        default=10,
        metavar="N",
        help="show the last N entries that were set aside (default: %(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``staybolt-edge``.

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
            case "run":
                return _run(load_settings(options.config), is_verbose=options.verbose)
            case "check":
                return _check(options.config, is_connecting=options.connect)
            case "keys":
                return _keys(options.state_dir, options.application_uri)
            case "sample-config":
                print(SAMPLE_CONFIG.read_text(encoding="utf-8"), end="")
                return EXIT_OK
            case _:
                return _outbox(load_settings(options.config), options.quarantine)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_SETTINGS
    except EdgeError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILURE
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does.
        sys.stderr.close()
        return EXIT_OK
    except OSError as error:
        print(f"stopped: {error}; see that there is room and leave to write", file=sys.stderr)
        return EXIT_FAILURE


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, help="settings file, see `sample-config`"
    )


# --- run ---------------------------------------------------------------------------------------


def _run(settings: Settings, *, is_verbose: bool) -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # What matters of the library's talk is said by our own messages, in words for a person.
    logging.getLogger("asyncua").setLevel(logging.INFO if is_verbose else logging.CRITICAL)
    read_secret(settings.uplink.token_file)
    with _only_agent(settings.state_dir):
        counters = Counters()
        sources = _sources(settings, counters)
        outbox = Outbox(settings.outbox_path, settings.outbox.max_bytes)
        core = AgentCore(
            group_commit_s=settings.outbox.group_commit_ms / 1000,
            max_body_bytes=settings.uplink.max_batch_bytes,
            retry_max_s=settings.uplink.retry_max_s,
        )
        asyncio.run(_serve(core, outbox, settings, sources, counters))
    return EXIT_OK


async def _serve(
    core: AgentCore,
    outbox: Outbox,
    settings: Settings,
    sources: Sequence[Source],
    counters: Counters,
) -> None:
    runtime = Runtime(core, outbox, lambda: HttpUplink(settings.uplink), sources, counters)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        logger.error(
            "fault in the event loop: %s", context["message"], exc_info=context.get("exception")
        )
        counters.faults += 1

    loop.set_exception_handler(unexpected)
    logger.info(
        "site %s: reading %s, sending to %s",
        settings.site,
        ", ".join(source.name for source in sources),
        settings.uplink.url,
    )
    await runtime.run(stop)


def _sources(settings: Settings, counters: Counters) -> list[Source]:
    sources: list[Source] = []
    if settings.opcua:
        keys, is_new = ensure_keys(settings.state_dir)
        if is_new:
            logger.warning(
                "made a new certificate %s; let the OPC UA servers trust it", keys.certificate_path
            )
        for opcua in settings.opcua:
            series = tuple(settings.series(node) for node in opcua.nodes)
            sources.append(OpcuaSource(opcua, series, keys, settings.state_dir, counters))
    sources += [MqttSource(mqtt, settings.site, counters) for mqtt in settings.mqtt]
    return sources


@contextlib.contextmanager
def _only_agent(state_dir: Path) -> Iterator[None]:
    """Hold the state folder, so that a second agent can't use the same outbox and sessions.

    Raises
    ------
    SettingsError
        If it can't be written or another agent holds it.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        msg = (
            f"state_dir {state_dir}: {error.strerror or error}; give a folder that this user may "
            "write, or change its owner"
        )
        raise SettingsError(msg) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = (
                f"another agent is running with state_dir {state_dir}; stop it first, or give this "
                "one a folder of its own"
            )
            raise SettingsError(msg) from error
        yield
    finally:
        os.close(descriptor)


# --- check, keys, outbox -----------------------------------------------------------------------


def _check(config: Path, *, is_connecting: bool) -> int:
    logging.basicConfig(level=logging.CRITICAL)
    settings = load_settings(config)
    print(f"{config.name}: settings can be read")
    files = _show(check_files(settings, config.name))
    connections = True
    if is_connecting:
        connections = _show(asyncio.run(check_connections(settings, config.name)))
    if not files:
        return EXIT_SETTINGS
    return EXIT_OK if connections else EXIT_FAILURE


def _show(findings: "Iterator[Finding] | list[Finding]") -> bool:
    is_good = True
    for finding in findings:
        print(f"{'ok  ' if finding.is_good else 'MEND'} {finding.text}")
        is_good = is_good and finding.is_good
    return is_good


def _keys(state_dir: Path, application_uri: str | None) -> int:
    keys, _ = ensure_keys(state_dir, application_uri)
    print(keys.certificate_path)
    return EXIT_OK


def _outbox(settings: Settings, n_shown: int) -> int:
    path = settings.outbox_path
    if not path.exists():
        print(f"{path}: nothing there yet; the agent makes it when it first runs")
        return EXIT_OK
    with Outbox(path, settings.outbox.max_bytes, is_read_only=True) as outbox:
        counts = outbox.counts()
        oldest = next(iter(outbox.peek_oldest(1)), None)
        entries = outbox.quarantine(n_shown)
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


if __name__ == "__main__":
    sys.exit(main())
