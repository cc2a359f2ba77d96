"""An OPC UA server as a process of its own, which writes down each value before it shows it.

The log is append-only: node, counter, and whether anybody was subscribed to the node just before
the value was written (1) or not (0), which decides whether the server had to keep it for somebody.
Counters go on after a restart, as the log says.
"""

import argparse
import os
import time
from pathlib import Path

from asyncua import ua

from tests.integration.edge_fixtures import OpcuaPeer


class LoggingPeer(OpcuaPeer):
    """The server of the integration tests, with a log."""

    def begin_after(self, counter: int) -> None:
        """Let the next value be the one after this."""
        self._next = counter

    def say_and_log(self, log: int) -> None:
        """One value of each node; the log is written first."""
        counter = self._next + 1
        lines = []
        for number in range(self.n_nodes):
            machine, signal = self.signal(number)
            lines.append(f"{machine}.{signal} {counter} {int(self._is_watched(machine, signal))}\n")
        os.write(log, "".join(lines).encode())
        self.say()
        self.said.samples.clear()

    def _is_watched(self, machine: str, signal: str) -> bool:
        node = self._nodes[f"{machine}.{signal}"]
        data = self._server.iserver.aspace.get(node.nodeid)
        return data is not None and bool(
            data.attributes[ua.AttributeIds.Value].datachange_callbacks
        )


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--trust", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--every-s", type=float, required=True)
    options = parser.parse_args()
    before = options.log.read_text().splitlines() if options.log.exists() else []
    peer = LoggingPeer(options.folder, options.nodes, options.trust, options.port)
    peer.begin_after(max((int(line.split()[1]) for line in before), default=0))
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    peer.start()
    stop = options.folder / "stop"
    while not stop.exists():
        time.sleep(options.every_s)
        peer.say_and_log(log)
    # It says no more, and serves what it keeps until it is ended.
    (options.folder / "stopped").touch()
    while True:
        time.sleep(1.0)


if __name__ == "__main__":
    main()
