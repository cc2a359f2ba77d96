"""``staybolt demo``: simulated plant, edge agent, ingest, analytics and pages, started together."""

import argparse
import json
import secrets
import shutil
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
from api.demo.programs import DemoError, Programs

CHAIN_TIMEOUT_S: Final = 120.0
START_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.25
MARKER: Final = ".staybolt-demo"


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
        Exit code: 0 when stopped by the user or the chain closed, 1 otherwise.
    """
    try:
        port = free_port() if arguments.check else claim_port(arguments.port)
        demo = Demo(prepare_folder(arguments.dir), port, arguments.seed)
        with demo.started():
            demo.follow_chain()
            if not arguments.check:
                demo.stay(open_browser=not arguments.no_browser)
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
    """

    folder: Path
    port: int
    seed: int

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
        folder, programs, seed = self.folder, self.programs, str(self.seed)
        edge, state, plant = folder / "edge", folder / "state", folder / "plant"
        lives, business = folder / "run-to-failure", folder / "business"
        programs.start("edge keys", "edge_agent", "keys", "--state-dir", edge)
        programs.start(
            "lives", "simulators", "generate", "run-to-failure", "--dir", lives, "--seed", seed
        )
        programs.start(
            "history", "simulators", "generate", "business", "--dir", business, "--seed", seed
        )
        programs.finish("edge keys")
        token_file = state / "ingest_token"
        write_secret(token_file)
        # The plant needs seconds to make its keys and open its servers: it starts first.
        programs.start(
            "plant", "simulators", "run", "--scenario", "demo",
            "--dir", plant, "--seed", seed,
            "--trust-client", edge / "pki" / "own" / "certificate.der",
            "--uplink-url", self.url, "--uplink-token-file", token_file, "--edge-state-dir", edge,
        )  # fmt: skip
        programs.finish("history")
        programs.run("import", "api", "import", business, "--state-dir", state)
        self._say("two years of business history imported")
        programs.finish("lives")
        for table in sorted(lives.glob("*.csv")):
            programs.run(
                f"fit {table.stem}", "api", "fit-health-model", "--kind", table.stem,
                "--table", table, "--state-dir", state,
            )  # fmt: skip
            self._say(f"health model of {table.stem} fitted to its run-to-failure histories")
        programs.start("server", "api", "serve", "--state-dir", state, "--port", str(self.port))
        self._wait("server", lambda: self.chain.get("/healthz") is not None)
        self._say(f"server ready at {self.url}")
        self._wait("plant", (plant / "edge.toml").exists)
        programs.start("edge agent", "edge_agent", "run", "--config", plant / "edge.toml")
        machines = json.loads((plant / "plant.json").read_text())["machines"]
        self._say(f"plant of {len(machines)} machines running, edge agent reading it")

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
    DemoError
        If the folder holds something else.
    """
    folder = folder.resolve()
    if folder.exists():
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            msg = f"{folder} holds something that is not a demo; give another folder with --dir"
            raise DemoError(msg)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    return folder


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
    DemoError
        If something listens there already.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            msg = f"port {port} is taken ({error.strerror}); give another one with --port"
            raise DemoError(msg) from error
    return port
