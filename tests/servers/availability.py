"""Which real servers this machine has, and how to get the others."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
NODE_MODULES: Final = ROOT / ".servers" / "node" / "node_modules"
POSTGRES_BIN: Final = Path("/usr/lib/postgresql/15/bin")

_FOUND: Final[dict[str, Callable[[], bool]]] = {
    "mosquitto": lambda: find_program("mosquitto") is not None,
    "influxd": lambda: find_program("influxd") is not None,
    "postgres": (POSTGRES_BIN / "postgres").exists,
    "chromium": lambda: find_program("chromium") is not None,
    "strace": lambda: find_program("strace") is not None,
    "node-opcua": lambda: (
        find_program("node") is not None and (NODE_MODULES / "node-opcua").is_dir()
    ),
    "sparkplug-client": lambda: (
        find_program("node") is not None and (NODE_MODULES / "sparkplug-client").is_dir()
    ),
    "sparkplug-payload": lambda: (
        find_program("node") is not None and (NODE_MODULES / "sparkplug-payload").is_dir()
    ),
}
SERVER_NAMES: Final = tuple(_FOUND)


def find_program(name: str) -> str | None:
    """Path of a program, also where Debian keeps daemons."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(name, path=path)


def is_available(name: str) -> bool:
    """Whether the server can be started here."""
    return _FOUND[name]()


def are_servers_required() -> bool:
    """Whether a missing server is a failure rather than a skip, as in `.ci/run`."""
    return os.environ.get("STAYBOLT_REQUIRE_SERVERS") == "1"
