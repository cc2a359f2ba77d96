"""``staybolt demo``: simulated plant, edge agent, ingest, analytics and pages, started together."""

import argparse
import json
import secrets
import shutil
import signal
import socket
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.demo.chain import Chain
from api.demo.programs import DemoError, DemoRefusedError, Programs

CHAIN_TIMEOUT_S: Final = 120.0
START_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.25
LARGEST_PORT: Final = 65_535
MARKER: Final = ".staybolt-demo"
TURBOFAN_UNITS: Final = "3,20,34,49,76,100"
"""Test engines of FD001 with short and long records, fixed before any estimate was seen."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``demo`` to the command line.

    Parameters
    ----------
    commands : argparse sub-parsers
        Where commands are added.
    """
    parser = commands.add_parser(
        "demo",
        help="watch a simulated plant become one customer's renewal risk",
        description=(
            "Start a simulated plant, the edge agent, ingest, analytics and the pages on this "
            "machine alone (127.0.0.1), with keys of their own, and follow one chain from a "
            "bearing's vibration to a customer's renewal risk. Ctrl-C stops everything."
        ),
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="use free ports, wait for one complete chain, print what each link took, stop",
    )
    parser.add_argument(
        "--dir", type=Path, default=Path(".demo"), help="working folder, made anew (.demo)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the pages (8000)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the simulated world (7)")
    parser.add_argument(
        "--turbofans",
        type=Path,
        metavar="DATA",
        help="play NASA's engines from this folder of C-MAPSS files instead of the plant",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed from the command line.

    Returns
    -------
    int
        Exit code: 0 when stopped by the user or the chain closed, 2 if the options can't be used,
        1 otherwise.
    """
    # SIGTERM stops everything in order too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        port = free_port() if arguments.check else claim_port(arguments.port)
        if arguments.turbofans is not None:
            check_turbofans(arguments.turbofans)
        demo = Demo(prepare_folder(arguments.dir), port, arguments.seed, arguments.turbofans)
        with demo.started():
            demo.follow_chain()
            if not arguments.check:
                demo.stay(open_browser=not arguments.no_browser)
    except DemoRefusedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    print("everything stopped")
    return 0


@dataclass
class Demo:
    """One run of the demo.

    Parameters
    ----------
    folder : Path
        Where everything of this run lies.
    port : int
        Port of the pages and of ingest.
    seed : int
        Seed of the simulated world.
    turbofans : Path or None
        Folder of NASA's engines to play instead of the simulated plant.
    """

    folder: Path
    port: int
    seed: int
    turbofans: Path | None = None

    def __post_init__(self) -> None:
        self.programs = Programs(self.folder / "logs")
        self.began = time.monotonic()
        self.chain = Chain(self.url)

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def started(self) -> Iterator[None]:
        """Start every program, and stop them all at the end.

        Yields
        ------
        None
            With everything running.
        """
        try:
            self._start()
            yield
        finally:
            self.programs.stop()

    def _start(self) -> None:
        programs, edge = self.programs, self.folder / "edge"
        programs.run("edge keys", "edge_agent", "keys", "--state-dir", edge)
        write_secret(self.state / "ingest_token")
        if self.turbofans is None:
            self._prepare_plant()
        else:
            self._prepare_turbofans(self.turbofans)
        programs.start("server", "api", "serve", *self._at_state, "--port", str(self.port))
        self._wait("server", lambda: self.chain.get("/healthz") is not None)
        self._say(f"server ready at {self.url}")
        self._wait("plant", (self.plant / "edge.toml").exists)
        programs.start("edge agent", "edge_agent", "run", "--config", self.plant / "edge.toml")
        self._wait("plant", (self.plant / "plant.json").exists)
        machines = json.loads((self.plant / "plant.json").read_text())["machines"]
        self._say(f"{len(machines)} machines running, edge agent reading them")

    def _prepare_plant(self) -> None:
        """Invented machines: their lives and their customers' history are generated first."""
        programs, seed = self.programs, ("--seed", str(self.seed))
        lives, business = self.folder / "run-to-failure", self.folder / "business"
        # The plant needs seconds to make its keys and open its servers: it starts first.
        programs.start("plant", "simulators", "run", "--scenario", "demo", *seed, *self._for_edge)
        for name, folder, *more in (
            # Machines with a story wear by the most usual mode of their kind alone.
            ("run-to-failure", lives, "--modes", "first"),
            ("business", business),
        ):
            programs.run(
                f"generate {name}", "simulators", "generate", name, *more, "--dir", folder, *seed
            )
        programs.start("import", "api", "import", business, *self._at_state)
        tables = sorted(lives.glob("*.csv"))
        programs.start("fit", "api", "fit-health-model", "--table", *tables, *self._at_state)
        programs.finish("import")
        self._say("two years of business history imported")
        programs.finish("fit")
        self._say(f"health models of {len(tables)} kinds fitted to run-to-failure histories")

    def _prepare_turbofans(self, data: Path) -> None:
        """NASA's engines: their lives and their ends are what was published."""
        programs = self.programs
        table = turbofan_table(data)
        programs.start(
            "plant", "simulators", "replay", "cmapss", "--data", data, "--subset", "FD001",
            "--units", TURBOFAN_UNITS, *self._for_edge, may_end=True,
        )  # fmt: skip
        programs.run(
            "fit", "api", "fit-health-model", "--kind", "turbofan-fd001", "--mapping", "cmapss",
            "--table", table, *self._at_state,
        )  # fmt: skip
        self._say("health model fitted to the hundred engines that NASA ran to failure")
        self._wait("plant", (self.plant / "plant.json").exists)
        programs.run("import", "api", "import", self.plant / "business", *self._at_state)
        self._say("the engines' operators and contracts imported")

    @property
    def plant(self) -> Path:
        """Folder of the simulated plant."""
        return self.folder / "plant"

    @property
    def state(self) -> Path:
        """Folder of the server."""
        return self.folder / "state"

    @property
    def _at_state(self) -> tuple[str | Path, ...]:
        return ("--state-dir", self.state)

    @property
    def _for_edge(self) -> tuple[str | Path, ...]:
        edge = self.folder / "edge"
        return (
            "--dir", self.plant, "--edge-state-dir", edge, "--uplink-url", self.url,
            "--uplink-token-file", self.state / "ingest_token",
            "--trust-client", edge / "pki" / "own" / "certificate.der",
        )  # fmt: skip

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_ready():
            self.programs.check()
            if time.monotonic() > deadline:
                msg = f"{name} was not ready after {START_TIMEOUT_S:.0f} s; see {self.folder}/logs"
                raise DemoError(msg)
            time.sleep(POLL_S)

    def follow_chain(self) -> None:
        """Wait until one chain is complete, saying when each link closed.

        Raises
        ------
        DemoError
            If a program ends or a link does not close in time; the link is named.
        """
        deadline = time.monotonic() + CHAIN_TIMEOUT_S
        while (missing := self.chain.missing) is not None:
            self.programs.check()
            for link in self.chain.advance():
                self._say(f"{link.name}: {link.found}")
            if time.monotonic() > deadline:
                msg = (
                    f"the link '{missing}' did not close within "
                    f"{CHAIN_TIMEOUT_S:.0f} s; see {self.folder}/logs"
                )
                raise DemoError(msg)
            time.sleep(POLL_S)
        self._say(f"chain complete; memory of all programs {self.programs.memory_mib():.0f} MiB")

    def stay(self, *, open_browser: bool) -> None:
        """Keep everything running until the user stops it.

        Parameters
        ----------
        open_browser : bool
            Whether to show the pages.
        """
        print(f"\nOpen {self.url}   (Ctrl-C stops everything)\n", flush=True)
        if open_browser:
            webbrowser.open(self.url)
        while True:
            self.programs.check()
            time.sleep(1.0)

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)


def prepare_folder(folder: Path) -> Path:
    """Make the working folder anew, but never delete one that the demo did not make.

    Parameters
    ----------
    folder : Path
        Working folder.

    Returns
    -------
    Path
        Its absolute path, empty but for a marker.

    Raises
    ------
    DemoRefusedError
        If the folder holds something else, or can't be made.
    """
    folder = folder.resolve()
    try:
        if folder.exists():
            if not (folder / MARKER).exists() and any(folder.iterdir()):
                msg = f"{folder} holds something that is not a demo; give another folder with --dir"
                raise DemoRefusedError(msg)
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / MARKER).touch()
    except OSError as error:
        msg = f"{folder} can't be made anew ({error.strerror}); give another folder with --dir"
        raise DemoRefusedError(msg) from error
    return folder


def turbofan_table(data: Path) -> Path:
    """Where the engines are that NASA ran to failure.

    Parameters
    ----------
    data : Path
        Folder of C-MAPSS files, or the one above it.

    Returns
    -------
    Path
        Its ``train_FD001.txt``, whether or not it is there.
    """
    folder = data / "cmapss" if (data / "cmapss").is_dir() else data
    return folder / "train_FD001.txt"


def check_turbofans(data: Path) -> None:
    """See that there are engines to play, before anything is started.

    Parameters
    ----------
    data : Path
        Folder of C-MAPSS files, or the one above it.

    Raises
    ------
    DemoRefusedError
        If they are not there.
    """
    table = turbofan_table(data)
    if not table.is_file():
        msg = (
            f"--turbofans: {data} holds no {table.name}; name the folder that NASA's C-MAPSS files "
            "were unpacked to"
        )
        raise DemoRefusedError(msg)


def write_secret(path: Path) -> None:
    """Write a new random token that only its owner can read.

    Parameters
    ----------
    path : Path
        Where to write it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(32))


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on.

    Returns
    -------
    int
        The port.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def claim_port(port: int) -> int:
    """See that a port can be had.

    Parameters
    ----------
    port : int
        Port of 127.0.0.1.

    Returns
    -------
    int
        The same port.

    Raises
    ------
    DemoRefusedError
        If something listens there already, or there is no such port.
    """
    if not 1 <= port <= LARGEST_PORT:
        msg = f"--port: {port} is no port; give one from 1024 to {LARGEST_PORT}"
        raise DemoRefusedError(msg)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            msg = f"port {port} is taken ({error.strerror}); give another one with --port"
            raise DemoRefusedError(msg) from error
    return port
