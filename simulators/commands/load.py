"""``staybolt-sim load``: more values than any machine has, to see what a reader can take."""

import argparse
import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.commands.shared import add_folder, port
from simulators.loopback import LOOPBACK, free_port
from simulators.progress import Progress

if TYPE_CHECKING:
    from simulators.load.mqtt_blaster import MqttBlaster
    from simulators.load.opcua_responder import OpcuaResponder

_TICK_S = 0.2


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    load = commands.add_parser(
        "load",
        help="send as many values as a reader takes",
        description="Stand in for a server or broker and send as many values as readers take, or "
        "at a rate. load.json says where; every value is a counter, so that a reader can tell "
        "whether one is missing. Listens on 127.0.0.1 only.",
    )
    protocols = load.add_subparsers(dest="what", required=True, metavar="PROTOCOL")
    opcua = protocols.add_parser(
        "opcua",
        help="an OPC UA server",
        description="An OPC UA server whose nodes ns=urn:staybolt:load;i=1 to i=N count: the n-th "
        "value of node i is (i - 1) * 2^32 + n.",
    )
    _add_shared(opcua)
    opcua.add_argument(
        "--nodes", type=int, default=1000, metavar="N", help="nodes to offer (default 1000)"
    )
    opcua.add_argument(
        "--trust-client",
        type=Path,
        action="append",
        metavar="CERT.der",
        help="sign and encrypt, and let in these clients only; without it anybody on this "
        "computer may read, without security",
    )
    opcua.set_defaults(run=_run_opcua)
    mqtt = protocols.add_parser(
        "mqtt",
        help="an MQTT broker",
        description="A broker with one topic, for MQTT 3.1.1 and 5 with quality of service 0 and "
        "1: each metric of the n-th message is 10^9 + n.",
    )
    _add_shared(mqtt)
    mqtt.add_argument(
        "--payload",
        choices=("json", "line", "sparkplug"),
        default="json",
        help="form of the messages (default json)",
    )
    mqtt.add_argument(
        "--metrics", type=int, default=100, metavar="N", help="values in a message (default 100)"
    )
    mqtt.set_defaults(run=_run_mqtt)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, "folder for load.json, and for the server's keys")
    parser.add_argument("--port", type=port, metavar="PORT", help="port (default: a free one)")
    parser.add_argument(
        "--values-per-s", type=float, metavar="N", help="values a second (default: no limit)"
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="how long to run (default: until stopped)"
    )


def _run_opcua(options: argparse.Namespace) -> None:
    from simulators.load.opcua_responder import LoadSettings, OpcuaResponder

    settings = LoadSettings(n_nodes=options.nodes, values_per_s=options.values_per_s)
    asyncio.run(_flood_opcua(options, OpcuaResponder(settings)))


async def _flood_opcua(options: argparse.Namespace, responder: "OpcuaResponder") -> None:
    from simulators.keys import make_identity, trust_clients
    from simulators.load.opcua_responder import NAMESPACE_URI

    number = options.port or free_port()
    if options.trust_client:
        pki = options.dir / "pki"
        clients = trust_clients(pki / "trusted_clients", options.trust_client)
        identity = make_identity(pki / "load", NAMESPACE_URI)
        await responder.start(number, identity, clients, pki / "trusted_clients")
    else:
        identity = None
        await responder.start(number)
    where = {
        "endpoint": responder.endpoint,
        "namespace_uri": NAMESPACE_URI,
        "server_certificate": None if identity is None else str(identity.certificate),
    }
    await _flood(options, responder, where)


def _run_mqtt(options: argparse.Namespace) -> None:
    from simulators.load.mqtt_blaster import BlastSettings, MqttBlaster

    settings = BlastSettings(options.payload, options.metrics, options.values_per_s)
    asyncio.run(_flood_mqtt(options, MqttBlaster(settings)))


async def _flood_mqtt(options: argparse.Namespace, blaster: "MqttBlaster") -> None:
    await blaster.start(options.port or 0)
    await _flood(options, blaster, {"host": LOOPBACK, "port": blaster.port, "topic": blaster.topic})


async def _flood(
    options: argparse.Namespace, source: "OpcuaResponder | MqttBlaster", where: Mapping[str, object]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    path = options.dir / "load.json"
    path.write_text(json.dumps(where, indent=1) + "\n", encoding="utf-8")
    progress = Progress()
    progress.say(f"the source is up: {path}")
    began_s = told_s = time.monotonic()
    n_told = 0
    try:
        while not stop.is_set():
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            rate = (source.n_values_sent - n_told) / (now_s - told_s)
            n_told, told_s = source.n_values_sent, now_s
            progress.show(f"  {rate:,.0f} values/s, {n_told:,} in all")
            if options.seconds is not None and now_s - began_s > options.seconds:
                break
    finally:
        await source.stop()
    print(f"{source.n_values_sent} values sent in {time.monotonic() - began_s:.1f} s")
