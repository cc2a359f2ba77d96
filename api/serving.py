"""``staybolt serve``: opens the stores, starts the worker, answers until it is told to stop."""

import argparse
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import uvicorn

from api.app import create_app
from api.arrivals import Arrivals
from api.context import AppContext
from api.events import EventHub
from api.fitted import ModelShelf
from api.history import HistoryCache
from api.newest import NewestSamples
from api.problem import SettingsError
from api.registry.catalogue import RegistryCatalogue
from api.registry.database import migrate, open_engine
from api.registry.errors import RegistryError
from api.settings import Settings, load_settings
from api.worker import Worker
from ingest.announced import AnnouncedMachines
from ingest.durability import sync_folder
from ingest.errors import IngestError, StoreUnavailableError
from ingest.errors import SettingsError as IngestSettingsError
from ingest.keeper import Keeper
from ingest.opening import open_store
from ingest.ports import TelemetryStore
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.tokens import TokenTable
from ingest.trying_again import chores_of
from ingest.validation import ValidationLimits

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2

LEAST_TOKEN_CHARACTERS: Final = 16
"""Shorter ones can be guessed over a network."""

STOP_WITHIN_S: Final = 5
"""Answers that take longer when the server is told to stop are cut off."""

MAX_HEADER_BYTES: Final = 16_384

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def add_commands(subparsers: "Subparsers") -> None:
    """Add ``serve`` and ``sample-config`` to a program.

    Parameters
    ----------
    subparsers : argparse subparsers
        What ``parser.add_subparsers()`` returned.
    """
    parser = subparsers.add_parser(
        "serve",
        help="run the server: API, pages, ingest and worker in one process",
        description=(
            "Run the API, the pages, the ingest receiver and the worker in one process, until "
            "Ctrl-C or SIGTERM. Without a token it listens on this machine only."
        ),
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help="settings (staybolt.toml in the state folder, if it is there)",
    )  # fmt: skip
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR",
        help="folder of everything the server keeps (staybolt-state)",
    )  # fmt: skip
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (8080); 0 takes a free one")
    parser.add_argument(
        "--access-token-file", type=Path, metavar="FILE",
        help="token that people and programs must show; needed to listen beyond this machine",
    )  # fmt: skip
    parser.add_argument(
        "--database", metavar="URL", help="if the records are not in the state folder"
    )
    parser.set_defaults(run=run)
    sample = subparsers.add_parser(
        "sample-config",
        help="print a settings file with every key explained",
        description="Print a settings file with every key explained; save it as staybolt.toml.",
    )
    sample.set_defaults(run=print_sample_config)


def print_sample_config(_arguments: argparse.Namespace) -> int:
    """Print the sample settings.

    Parameters
    ----------
    _arguments : argparse.Namespace
        As parsed from the command line.

    Returns
    -------
    int
        Exit code 0.
    """
    sys.stdout.write((Path(__file__).parent / "sample_config.toml").read_text(encoding="utf-8"))
    return EXIT_OK


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed from the command line.

    Returns
    -------
    int
        Exit code: 0 stopped, 1 a store failed, 2 the settings can't be used.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Migrations tell which database they found at every start; nobody acts on that.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    names = ("state_dir", "host", "port", "access_token_file", "database")
    try:
        settings = load_settings(
            arguments.config, {name: getattr(arguments, name) for name in names}
        )
        access_token = read_access_token(settings.access_token_file)
        listener = listen(settings.host, settings.port)
        with listener, open_context(settings) as context:
            serve(context, listener, access_token)
    except (SettingsError, IngestSettingsError) as error:
        sys.stderr.write(f"serve: {error}\n")
        return EXIT_REFUSED
    except (IngestError, RegistryError) as error:
        sys.stderr.write(f"serve: {error}\n")
        return EXIT_FAILED
    return EXIT_OK


def serve(context: AppContext, listener: socket.socket, access_token: str | None) -> None:
    """Answer on a socket, with the worker beside it, until told to stop.

    Parameters
    ----------
    context : AppContext
        Open stores.
    listener : socket
        Bound to the address.
    access_token : str or None
        What people and programs must show.
    """
    worker = Worker(context)
    app = create_app(context, worker, access_token=access_token)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    worker.start()
    try:
        sys.stdout.write(where_to_look(context.settings, listener, access_token))
        sys.stdout.flush()
        with stopping_in_order():
            _Server(config, context.hub).run(sockets=[listener])
    finally:
        context.hub.close()
        worker.stop()


@contextmanager
def stopping_in_order() -> Iterator[None]:
    """Keep signals from ending the process before its stores are closed.

    uvicorn raises the signal that stopped it once more at its end; with the usual handlers that
    would be the end of everything.

    Yields
    ------
    None
        With SIGTERM and SIGINT left to uvicorn.
    """
    usual = {number: signal.signal(number, _pass_over) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: uvicorn has stopped already."""


class _Server(uvicorn.Server):
    """Ends the live streams as soon as it is told to stop, or it would wait for them."""

    def __init__(self, config: uvicorn.Config, hub: EventHub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, as the signal says."""
        self._hub.close()
        super().handle_exit(sig, frame)


@contextmanager
def open_context(settings: Settings) -> Iterator[AppContext]:
    """Open every store of a server, and close them at the end.

    Parameters
    ----------
    settings : Settings
        Where they are.

    Yields
    ------
    AppContext
        Ready to serve.
    """
    make_state_folder(settings.state_dir)
    make_ingest_token(settings.ingest_token_path)
    token_check = TokenTable.read(settings.ingest_token_path)
    engine = open_engine(settings.registry_url)
    try:
        migrate(engine)
        hub = EventHub()
        arrivals = Arrivals(hub)
        with (
            closing(_open_store(settings)) as store,
            Quarantine(settings.quarantine_path) as quarantine,
            AnnouncedMachines.beside(settings.quarantine_path) as announced,
        ):
            catalogue = RegistryCatalogue(engine)
            ingest = IngestService(
                store, quarantine, catalogue, time.time_ns, token_check, arrivals.on_stored,
                limits=ValidationLimits().within(settings.raw_days),
                announced=announced,
            )  # fmt: skip
            chores = chores_of(ingest, quarantine, catalogue)
            with Keeper(store, time.time_ns, settings.raw_days, chores):
                yield AppContext(
                    engine=engine,
                    store=store,
                    ingest=ingest,
                    settings=settings,
                    hub=hub,
                    arrivals=arrivals,
                    newest=NewestSamples(store, arrivals, check_s=settings.history_check_s),
                    history=HistoryCache(engine),
                    models=ModelShelf(engine),
                )
    finally:
        engine.dispose()


def _open_store(settings: Settings) -> TelemetryStore:
    try:
        return open_store(settings.telemetry_store)
    except StoreUnavailableError as error:
        # Another server's store that doesn't answer may be a wrong address; our own file is ours.
        if settings.telemetry is None:
            raise
        msg = f"settings, telemetry: {error}"
        raise SettingsError(msg) from error


def where_to_look(settings: Settings, listener: socket.socket, access_token: str | None) -> str:
    """Say where the server can be found.

    Parameters
    ----------
    settings : Settings
        Of the server.
    listener : socket
        Bound to the address.
    access_token : str or None
        What people and programs must show.

    Returns
    -------
    str
        A few lines for the terminal.
    """
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [
        f"Staybolt is ready at {url}/",
        f"  API           {url}/v1/machines (all of it: {url}/openapi.json)",
        f"  edge agents   send to {url} with the token in {settings.ingest_token_path}",
        f"  state         {settings.state_dir}",
    ]
    if access_token is not None:
        lines.append(f"  sign in       with the token in {settings.access_token_file}")
    return "\n".join(lines) + "\n"


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Parameters
    ----------
    host : str
        Address or name.
    port : int
        0 takes a free one.

    Returns
    -------
    socket
        Bound, not yet listening.

    Raises
    ------
    SettingsError
        If the address can't be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        msg = f"host {host}: is no address of this machine ({error.strerror}); try 127.0.0.1"
        raise SettingsError(msg) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        msg = (
            f"{host} port {port}: can't be had ({error.strerror}); stop what listens there, or "
            "choose another with --port (0 takes a free one)"
        )
        raise SettingsError(msg) from error
    return listener


def make_state_folder(folder: Path) -> None:
    """Make the folder of everything the server keeps, closed to others.

    Parameters
    ----------
    folder : Path
        Where.

    Raises
    ------
    SettingsError
        If it can't be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"state_dir {folder}: can't be made ({error.strerror}); choose another folder"
        raise SettingsError(msg) from error


def make_ingest_token(path: Path) -> None:
    """Make the token that edge agents show, on the first start.

    Parameters
    ----------
    path : Path
        Its file; left alone if it is there.

    Raises
    ------
    SettingsError
        If the file can't be made.
    """
    if path.exists():
        return
    try:
        # Whole or not there at all: half a token, after a power cut, would stop every start.
        descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was faster
                os.link(fresh, path)
        finally:
            Path(fresh).unlink()
        sync_folder(path.parent)
    except OSError as error:
        msg = f"{path}: can't be made ({error.strerror}); check the rights of the state folder"
        raise SettingsError(msg) from error


def read_access_token(path: Path | None) -> str | None:
    """Read the token that people and programs must show.

    Parameters
    ----------
    path : Path or None
        Its file; None asks for no token.

    Returns
    -------
    str or None
        The token.

    Raises
    ------
    SettingsError
        If the file can't be read, or holds too little to be a token.
    """
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"access_token_file {path}: can't be read ({error}); check the path and its rights"
        raise SettingsError(msg) from error
    if len(token) < LEAST_TOKEN_CHARACTERS or not token.isprintable() or " " in token:
        msg = (
            f"access_token_file {path}: holds {len(token)} characters, {LEAST_TOKEN_CHARACTERS} "
            'without spaces are needed; write one with `python3 -c "import secrets; '
            'print(secrets.token_urlsafe(32))"`'
        )
        raise SettingsError(msg)
    return token
