"""A Sparkplug edge node for tests that shares no code with the project: npm's sparkplug-client."""

import json
import queue
import subprocess
import threading

from tests.servers.availability import ROOT, find_program

AT_MS, MS = 1_700_000_000_000, 1_000_000
OIL = {"name": "Hydraulics/Oil", "type": "Double", "alias": 10}
PARTS = {"name": "parts_count", "type": "UInt32", "alias": 11}
SHIFT = {"name": "offset_mm", "type": "Int16", "alias": 12}
DOOR = {"name": "door_open_ratio", "type": "Boolean", "alias": 13}
SERIAL = {"name": "serial", "type": "String", "alias": 14, "value": "R2-D2"}


class ForeignNode:
    """The edge node as a process."""

    def __init__(self, port: int, group: str) -> None:
        node = find_program("node")
        assert node is not None
        script = ROOT / "tests" / "servers" / "sparkplug_node.cjs"
        self._process = subprocess.Popen(
            [node, str(script), str(port), group, "line-2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.told: queue.Queue[dict[str, object]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.put(json.loads(line))

    def do(self, what: str, **more: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        self.expect(what)

    def expect(self, what: str) -> dict[str, object]:
        while True:
            fact = self.told.get(timeout=20)
            assert fact["did"] != "error", fact
            if fact["did"] == what:
                return fact

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def told(metric: dict[str, object], value: object, n: int, **more: object) -> dict[str, object]:
    """One value of a metric by its alias, `n` ms after the beginning."""
    return {
        "alias": metric["alias"], "type": metric["type"], "value": value, "timestamp": AT_MS + n,
        **more,
    }  # fmt: skip


def born(metric: dict[str, object], value: object) -> dict[str, object]:
    return {**metric, "value": value, "timestamp": AT_MS}
