"""A store that is a real HTTP server: it keeps every arrival in a list, and one value for each key.

It reads lines with a reader of its own, and can be told to refuse, to be slow or to be away.
"""

import threading
import time
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.reliability.oracle import Reading


def read_sample(line: bytes) -> tuple[str, int, int]:
    """Node (machine and signal), counter and time of a line of the agent's own form."""
    tags, fields, time_ns = line.rsplit(b" ", 2)
    machine, signal = tags.split(b",machine=", 1)[1].split(b",signal=", 1)
    value = fields.split(b"value=", 1)[1].split(b",", 1)[0]
    return f"{machine.decode()}.{signal.decode()}", int(float(value)), int(time_ns)


class Sink:
    """Takes InfluxDB's write requests on a free port of loopback."""

    def __init__(self) -> None:
        self.arrived: list[Reading] = []
        self.held: dict[tuple[str, int], int] = {}
        self.is_away = False
        self.delay_s = 0.0
        self.fails_every = 0
        self.n_requests = 0
        self.refused_machine: str | None = None
        self._news = threading.Condition()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, said = sink._take(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class QuietServer(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing of an agent that was killed in mid-request."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def _take(self, body: bytes) -> tuple[int, bytes]:
        if self.delay_s:
            time.sleep(self.delay_s)
        is_failing = self.fails_every > 0 and self.n_requests % self.fails_every == 0
        self.n_requests += 1
        if self.is_away or is_failing:
            return 503, b'{"message": "away"}'
        status, said = 204, b""
        with self._news:
            for line in body.splitlines():
                node, counter, time_ns = read_sample(line)
                if self.refused_machine is not None and node.startswith(self.refused_machine):
                    status, said = 400, b'{"message": "partial write: refused"}'
                    continue
                self.arrived.append((node, counter))
                self.held[node, time_ns] = counter
            self._news.notify_all()
        return status, said

    def readings(self) -> list[Reading]:
        """Node and counter of each value that is held."""
        with self._news:
            return [(node, counter) for (node, _), counter in self.held.items()]

    def has_all(self, wanted: Collection[Reading], timeout_s: float) -> bool:
        """Wait until all of it has come."""
        missing = set(wanted)
        n_seen = 0

        def is_complete() -> bool:
            nonlocal n_seen
            missing.difference_update(self.arrived[n_seen:])
            n_seen = len(self.arrived)
            return not missing

        with self._news:
            return self._news.wait_for(is_complete, timeout_s)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
