"""The programs that make up the demo: started, watched, weighed and stopped together."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

STOP_TIMEOUT_S: Final = 10.0
LOG_TAIL_LINES: Final = 8


class DemoError(Exception):
    """A link of the demo did not come up; the message names it and its log."""


class DemoRefusedError(DemoError, ValueError):
    """The demo can't be started as it was asked for; nothing was touched."""


@dataclass(slots=True)
class Programs:
    """Programs of the demo, each with a log file of its own.

    Parameters
    ----------
    log_folder : Path
        Where the logs are written.
    """

    log_folder: Path
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _may_end: set[str] = field(default_factory=set)

    def start(self, name: str, module: str, *arguments: str | Path, may_end: bool = False) -> None:
        """Start one of our programs in the background.

        Parameters
        ----------
        name : str
            What people call it.
        module : str
            Package whose ``__main__`` it is.
        *arguments : str or Path
            Its command line.
        may_end : bool
            Whether it may end well by itself, as a replay does.
        """
        if may_end:
            self._may_end.add(name)
        with self._log_of(name).open("wb") as log, _uninterrupted():
            self.running[name] = subprocess.Popen(  # noqa: S603  # our own module, no shell
                _command(module, arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo; it stops the others in the right order.
                start_new_session=True,
            )

    def run(self, name: str, module: str, *arguments: str | Path) -> None:
        """Run one of our programs to its end.

        Parameters
        ----------
        name : str
            What people call it.
        module : str
            Package whose ``__main__`` it is.
        *arguments : str or Path
            Its command line.

        Raises
        ------
        DemoError
            If it ends with an error.
        """
        self.start(name, module, *arguments)
        self.finish(name)

    def finish(self, name: str) -> None:
        """Wait for a program that ends by itself.

        Parameters
        ----------
        name : str
            What it was started as.

        Raises
        ------
        DemoError
            If it ends with an error.
        """
        if self.running.pop(name).wait() != 0:
            raise DemoError(self._what_happened(name))

    def check(self) -> None:
        """See that every program still runs.

        Raises
        ------
        DemoError
            If one has ended.
        """
        for name, process in self.running.items():
            code = process.poll()
            if code is not None and not (code == 0 and name in self._may_end):
                raise DemoError(self._what_happened(name))

    def stop(self) -> None:
        """Stop every program, the last started first, and wait until each is gone."""
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in reversed(self.running.values()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()

    def memory_mib(self) -> float:
        """Resident memory of the demo: its programs, their children, and this process.

        Returns
        -------
        float
            Summed resident set sizes; shared pages count for each. [MiB]
        """
        pids = {os.getpid(), *(process.pid for process in self.running.values())}
        return sum(resident_mib(pid) for pid in with_children(pids))

    def _log_of(self, name: str) -> Path:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        return self.log_folder / f"{name.replace(' ', '-')}.log"

    def _what_happened(self, name: str) -> str:
        log = self._log_of(name)
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        return f"{name} ended early; its last words ({log}):\n    {tail}"


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back: a program must not be started and then forgotten.

    Raises
    ------
    KeyboardInterrupt
        At the end, if one of them came meanwhile.
    """
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, lambda *_: held.append(1)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt


def _command(module: str, arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", module, *(str(argument) for argument in arguments)]


def resident_mib(pid: int) -> float:
    """Resident memory of one process.

    Parameters
    ----------
    pid : int
        Process number.

    Returns
    -------
    float
        Resident set size, 0 if the process is gone. [MiB]
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def with_children(pids: set[int]) -> set[int]:
    """Add all descendants of some processes.

    Parameters
    ----------
    pids : set of int
        Process numbers.

    Returns
    -------
    set of int
        These and every process started by them, however deep.
    """
    parent_of = dict(_parents())
    found = set(pids)
    while True:
        children = {pid for pid, parent in parent_of.items() if parent in found} - found
        if not children:
            return found
        found |= children


def _parents() -> Iterator[tuple[int, int]]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The second field is the command in brackets and may hold spaces.
            fields = status.read_text().rpartition(")")[2].split()
            yield int(status.parent.name), int(fields[1])
