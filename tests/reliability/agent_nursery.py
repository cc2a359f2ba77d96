"""Starts agents that have read all their modules already, so that thousands can be killed.

A process of its own without threads: each agent is a fork of it that runs ``edge_agent run`` as its
command line would. It takes one JSON object a line and answers each with one. An agent waits for
its gate to be opened, so that a tracer can be attached before it does anything.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen
from types import TracebackType
from typing import Any, Self


class Nursery:
    """The parent's side."""

    def __init__(self) -> None:
        self._process = Popen(
            [sys.executable, "-m", "tests.reliability.agent_nursery"],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            bufsize=1,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def start(
        self, config: Path, log: Path, gate: Path | None = None, planted: str | None = None
    ) -> int:
        """Fork an agent; it waits until somebody opens the gate, a FIFO, for writing.

        Parameters
        ----------
        config, log, gate : Path
            Its settings, where it writes, and what it waits for.
        planted : str, optional
            Name of a mistake that it is to have, from `tests.reliability.planted_agents`.
        """
        answer = self._ask({
            "config": str(config),
            "log": str(log),
            "gate": None if gate is None else str(gate),
            "planted": planted,
        })
        return int(answer["pid"])

    def wait(self, pid: int, timeout_s: float) -> int | None:
        """How an agent ended, negative for a signal; None if it still runs after that time."""
        status: int | None = self._ask({"wait": pid, "timeout_s": timeout_s})["status"]
        return status

    def kill(self, pid: int) -> None:
        """End an agent as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.wait(pid, 30.0)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, target)
        if request["gate"] is not None:
            with open(request["gate"], "rb"):  # noqa: PTH123 - returns once the other end is open
                pass
        arguments = ["run", "--config", request["config"]]
        if request["planted"] is None:
            from edge_agent.__main__ import main

            code = main(arguments)
        else:
            from tests.reliability.planted_agents import run_planted

            code = run_planted(request["planted"], arguments)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, timeout_s: float) -> int | None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline_s:
            return None
        time.sleep(0.002)


def serve() -> None:
    """Take requests until the input ends."""
    import asyncua  # noqa: F401 - what an agent would read when it needs it
    import paho.mqtt.client  # noqa: F401

    import edge_agent.__main__  # noqa: F401
    import edge_agent.commands.run  # noqa: F401
    import edge_agent.sources.mqtt  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = {"status": _wait(request["wait"], request["timeout_s"])}
        else:
            answer = {"pid": _start(request)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
