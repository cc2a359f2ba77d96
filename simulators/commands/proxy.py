"""``staybolt-sim proxy``: a door that can be shut, before any server of this computer."""

import argparse
import asyncio
import json
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simulators.commands.shared import add_folder, port
from simulators.errors import ScenarioError
from simulators.loopback import LOOPBACK
from simulators.progress import Progress

if TYPE_CHECKING:
    from simulators.faults.control import FaultRequest
    from simulators.faults.proxy import Proxy

_NAME = "proxy"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "proxy",
        help="a network that can fail, before any server of this computer",
        description="Pass connections on to a server of this computer, and let their network fail "
        "when asked to. proxy.json says where it listens. Listens on 127.0.0.1 only.",
        epilog="examples:\n"
        "  staybolt-sim proxy --dir door --to 1883 --listen 21883 &\n"
        f"  staybolt-sim fault --dir door network {_NAME} half-open\n"
        f"  staybolt-sim fault --dir door network {_NAME} delay delay_s=0.2 jitter_s=0.1\n"
        "  staybolt-sim fault --dir door clear\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(parser, "folder for proxy.json and control.token")
    parser.add_argument(
        "--to", type=port, required=True, metavar="PORT", help="port of the server on 127.0.0.1"
    )
    parser.add_argument(
        "--listen", type=port, metavar="PORT", help="port for clients (default: a free one)"
    )
    parser.add_argument(
        "--control-port", type=port, metavar="PORT", help="port for faults (default: a free one)"
    )
    parser.add_argument(
        "--seed", type=int, default=7, metavar="N", help="same seed, same bits flipped (default 7)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    asyncio.run(_pass(options))


class _Door:
    """What the proxy does when it is asked for a fault."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy

    async def handle(self, request: "FaultRequest") -> dict[str, Any]:
        """Carry out a request; only those of the network make sense here.

        Parameters
        ----------
        request : FaultRequest
            What is asked for.

        Returns
        -------
        dict
            The state and the counts, for a status; else nothing.

        Raises
        ------
        ScenarioError
            If it is not about this door.
        """
        from simulators.faults.control import ClearRequest, NetworkRequest, StatusRequest
        from simulators.faults.proxy import ProxyState

        match request:
            case NetworkRequest(server=server) if server == _NAME:
                await self._proxy.set(ProxyState(**request.model_dump(exclude={"do", "server"})))
            case NetworkRequest(server=server):
                msg = f"server: there is no {server!r} behind this door; write {_NAME}"
                raise ScenarioError(msg)
            case ClearRequest():
                await self._proxy.set(ProxyState())
            case StatusRequest():
                return {"state": asdict(self._proxy.state), "counts": asdict(self._proxy.counts)}
            case _:
                msg = f"do: a proxy has no {request.do}; ask for network, clear or status"
                raise ScenarioError(msg)
        return {}


async def _pass(options: argparse.Namespace) -> None:
    from simulators.chance import check_seed
    from simulators.faults.control import ControlServer
    from simulators.faults.proxy import Proxy

    check_seed(options.seed)
    proxy = Proxy(options.to, seed=options.seed)
    control = ControlServer(_Door(proxy), options.dir / "control.token")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    path = options.dir / "proxy.json"
    try:
        await proxy.start(options.listen or 0)
        await control.start(options.control_port or 0)
        where = {
            "host": LOOPBACK,
            "port": proxy.port,
            "to_port": options.to,
            "control": {"port": control.port, "token_file": str(control.token_file)},
        }
        whole = path.with_suffix(".part")
        whole.write_text(json.dumps(where, indent=1) + "\n", encoding="utf-8")
        whole.replace(path)
        Progress().say(f"the proxy is up: {path}")
        await stop.wait()
    finally:
        path.unlink(missing_ok=True)
        await control.stop()
        await proxy.stop()
    counts = proxy.counts
    print(
        f"{counts.n_connections} connections, {counts.n_to_server_bytes} bytes to the server, "
        f"{counts.n_to_client_bytes} to clients"
    )
