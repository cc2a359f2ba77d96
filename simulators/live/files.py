"""What a running plant writes down for others: where it is (plant.json), and edge.toml.

plant.json appears when everything listens, and in one piece: a program that waits for the file
can read it at once.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulators.faults.control import ControlServer
from simulators.live.stage import Stage
from simulators.loopback import LOOPBACK
from simulators.mqtt.publisher import topic_of
from simulators.opcua.server import NAMESPACE_URI
from simulators.units import unit_of


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """What the plant can't know of the edge agent it writes settings for.

    Parameters
    ----------
    uplink_url : str
        Where the agent sends samples.
    token_file : Path
        File with the token for that.
    state_dir : Path
        Folder of the agent's outbox and keys.
    """

    uplink_url: str
    token_file: Path
    state_dir: Path


def write_plant_json(
    path: Path, stage: Stage, clock: dict[str, Any], control: ControlServer | None = None
) -> None:
    """Write where the plant is and what is in it.

    Parameters
    ----------
    path : Path
        File to write; an older one is replaced.
    stage : Stage
        The servers, started.
    clock : dict
        How machine time is played.
    control : ControlServer, optional
        Where faults can be asked for.
    """
    document: dict[str, Any] = {
        "kinds": {outlet.kind: {"signals": list(outlet.signals)} for outlet in stage.outlets},
        "machines": [asdict(outlet) for outlet in stage.outlets],
        "opcua": [
            {
                "name": server.name,
                "endpoint": server.endpoint,
                "namespace_uri": NAMESPACE_URI,
                "server_certificate": str(server.identity.certificate),
                "users": {
                    user: str(server.identity.certificate.parent / f"{user}.password")
                    for user in server.users
                },
                "history_values": server.settings.history_values,
            }
            for server in stage.servers
            if server.identity is not None
        ],
        "mqtt": None,
        "site": stage.settings.site,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "clock": clock,
        "control": None
        if control is None
        else {"port": control.port, "token_file": str(control.token_file)},
    }
    if stage.tap is not None and stage.broker is not None:
        document["mqtt"] = {
            "host": LOOPBACK,
            "port": stage.mqtt_port,
            "user": stage.broker.edge.user,
            "password_file": str(stage.broker.edge.password_file),
            "topic": topic_of(stage.settings.site, "{machine}"),
            "formats": _formats(stage),
        }
        if stage.sparkplug is not None:
            document["mqtt"]["sparkplug"] = {
                "group": stage.sparkplug.group,
                "node": stage.sparkplug.node,
            }
    _write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_edge_toml(path: Path, stage: Stage, plan: EdgePlan) -> None:
    """Write settings with which an edge agent reads the whole plant.

    Parameters
    ----------
    path : Path
        File to write; an older one is replaced.
    stage : Stage
        The servers, started.
    plan : EdgePlan
        Where the agent keeps and sends what it reads.
    """
    lines = [
        "# Written by staybolt-sim for the plant beside it; a new start writes it anew.",
        f"site = {_quoted(stage.settings.site)}",
        f"state_dir = {_quoted(plan.state_dir)}",
        "",
        "[uplink]",
        f"url = {_quoted(plan.uplink_url)}",
        f"token_file = {_quoted(plan.token_file)}",
    ]
    for server in stage.servers:
        lines += [
            "",
            "[[opcua]]",
            f"name = {_quoted(server.name)}",
            f"endpoint = {_quoted(server.endpoint)}",
            f"trusted_servers_dir = {_quoted(stage.trusted_servers_folder)}",
        ]
        if server.identity is not None:
            for user in server.users:
                password_file = server.identity.certificate.parent / f"{user}.password"
                lines += [
                    f"user = {_quoted(user)}",
                    f"password_file = {_quoted(password_file)}",
                ]
        for outlet in server.outlets:
            for signal in outlet.signals:
                lines += [
                    "",
                    "[[opcua.nodes]]",
                    f"namespace_uri = {_quoted(NAMESPACE_URI)}",
                    f"node_id = {_quoted(f's={outlet.machine}.{signal}')}",
                    f"machine = {_quoted(outlet.machine)}",
                    f"signal = {_quoted(signal)}",
                    f"unit = {_quoted(unit_of(signal).text)}",
                ]
    formats = _formats(stage)
    if stage.tap is not None and stage.broker is not None and "json" in formats.values():
        lines += [
            "",
            "[[mqtt]]",
            'name = "plant-broker"',
            f"host = {_quoted(LOOPBACK)}",
            f"port = {stage.mqtt_port}",
            f"user = {_quoted(stage.broker.edge.user)}",
            f"password_file = {_quoted(stage.broker.edge.password_file)}",
            f"client_id = {_quoted(f'staybolt-edge-{stage.settings.site}')}",
            "",
            "[[mqtt.topics]]",
            f"topic = {_quoted(topic_of(stage.settings.site, '{machine}'))}",
        ]
    lines += [
        f"# {machine} sends {form}, which the agent does not read from MQTT."
        for machine, form in formats.items()
        if form != "json"
    ]
    _write_whole(path, "\n".join(lines) + "\n")


def _formats(stage: Stage) -> dict[str, str]:
    return {
        outlet.machine: stage.format_of(outlet)
        for outlet in stage.outlets
        if outlet.protocol == "mqtt"
    }


def _quoted(text: str | Path) -> str:
    """TOML's basic strings escape as JSON's do."""
    return json.dumps(str(text), ensure_ascii=False)


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
