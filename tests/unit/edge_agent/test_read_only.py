"""The agent is a guest: it reads machines and never tells them what to do."""

import ast
import re
from pathlib import Path

import edge_agent

PACKAGE = Path(edge_agent.__file__).parent

# What asyncua's client and nodes offer that changes something on a server, or asks it to act.
FORBIDDEN = {
    "write", "write_attribute", "write_attributes", "write_value", "write_values", "write_params",
    "write_array_dimensions", "write_attribute_value", "set_value", "set_values",
    "set_data_value", "set_writable", "set_read_only", "set_attribute", "set_attributes", "call",
    "call_method", "call_method_full", "add_nodes", "add_references", "add_variable", "add_object",
    "add_method", "add_folder", "delete_nodes", "delete_references", "history_update",
    "import_xml", "register_server", "register_server2", "publish",
}  # fmt: skip

OURS = {
    "call": {"disk.py", "uplink_lane.py", "worker.py"},
    "publish": {"mqtt_link.py", "uplink_mqtt.py", "uplink_mqtt_link.py"},
    "write": {"status_server.py", "intake.py", "child.py", "source.py", "outbox.py"},
}
"""`Worker.call` runs a function in a thread; what `MqttLink.send` is used for is tested below; the
status server writes its answers, `outbox quarantine show` its entry to the terminal, reader
processes and the agent write to each other, and the MQTT uplink publishes to the broker of
ingest."""


def test_nothing_in_the_package_writes_to_a_machine_calls_it_or_publishes() -> None:
    found = [
        f"{path.name}:{node.lineno} {node.func.attr}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in FORBIDDEN
        and path.name not in OURS.get(node.func.attr, set())
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "file")
    ]

    assert found == []


def test_the_sources_have_no_way_to_write() -> None:
    for path in (PACKAGE / "sources").glob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
        }
        allowed = {name for name, files in OURS.items() if path.name in files}
        assert names & FORBIDDEN <= allowed, path.name


def test_a_source_sends_nothing_but_sparkplug_rebirth_commands() -> None:
    sent = [
        ast.unparse(node)
        for path in (PACKAGE / "sources").glob("mqtt*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"send", "publish"}
        and path.name != "mqtt_link.py"
    ]

    assert len(sent) == 1
    assert re.fullmatch(r"self\.link\.send\(topic, rebirth_command\(.*\)\)", sent[0])


# Requests of OPC UA that change something on a server, or ask it to act. Deleting is allowed for
# what is our own: a session, a subscription, its monitored items.
CHANGING = {
    "WriteRequest", "WriteParameters", "WriteValue", "CallRequest", "CallMethodRequest",
    "AddNodesRequest", "AddNodesItem", "AddReferencesRequest", "AddReferencesItem",
    "DeleteNodesRequest", "DeleteNodesItem", "DeleteNodesParameters", "DeleteReferencesRequest",
    "DeleteReferencesItem", "HistoryUpdateRequest", "HistoryUpdateParameters", "UpdateDataDetails",
    "UpdateEventDetails", "DeleteRawModifiedDetails", "SetTriggeringRequest",
    "RegisterServerRequest", "RegisterServer2Request",
}  # fmt: skip


def test_no_request_that_changes_a_server_is_ever_named() -> None:
    found = [
        f"{path.name}: {name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.attr]
            if isinstance(node, ast.Attribute)
            else [node.id]
            if isinstance(node, ast.Name)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import | ast.ImportFrom)
            else []
        )
        if name in CHANGING
    ]

    assert found == []


def test_what_is_forbidden_here_is_what_the_library_has() -> None:
    from asyncua import ua

    known = {name for name in CHANGING if hasattr(ua, name)}

    assert {"WriteRequest", "CallRequest", "DeleteNodesRequest", "HistoryUpdateRequest"} <= known
    assert len(known) > len(CHANGING) - 4
