"""Looks at everything the settings name and says how to mend what is wrong."""

import asyncio
import datetime
import logging
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, assert_never

from asyncua import ua

from edge_agent.check_device import check_device
from edge_agent.counters import Counters
from edge_agent.errors import EdgeError, SettingsError
from edge_agent.findings import Finding, look
from edge_agent.key_files import WARN_BEFORE_END
from edge_agent.keys import OwnKeys, load_keys
from edge_agent.messages import NotAllowed, Refused, Settled, Stored, TooLarge, Unavailable
from edge_agent.settings import Settings
from edge_agent.settings_file import read_secret
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.mqtt import MqttSource
from edge_agent.sources.mqtt_link import MqttLink
from edge_agent.sources.mqtt_security import ending_words, tls_context
from edge_agent.sources.mqtt_words import refused_topic_words
from edge_agent.sources.opcua_link import CLIENT_ERRORS, OpcuaLink, words
from edge_agent.sources.opcua_nodes import resolve_nodes
from edge_agent.sources.opcua_values import decode_notifications
from edge_agent.trust import trusted_certificates
from edge_agent.uplink_http import HttpUplink
from edge_agent.uplink_mqtt import MqttUplink
from edge_agent.uplink_tls import uplink_context
from ingest.telemetry.mqtt_contract import Sender

logger = logging.getLogger(__name__)

HARMLESS_LINE: Final = b"# staybolt-edge check\n"
"""A comment: shows whether we may write, and writes nothing."""


def check_files(settings: Settings, file_name: str) -> Iterator[Finding]:
    """Look at the files and folders that the settings name.

    Parameters
    ----------
    settings : Settings
        What to look at.
    file_name : str
        Name of the settings file, for messages.

    Yields
    ------
    Finding
        One for each file or folder.
    """
    yield look(f"{file_name}, state_dir", lambda: _writable(settings.state_dir))
    yield from _uplink_files(settings, f"{file_name}, uplink")
    for position, opcua in enumerate(settings.opcua):
        place = f"{file_name}, opcua[{position}]"
        if opcua.password_file is not None:
            yield look(f"{place}.password_file", _secret_of(opcua.password_file))
        if opcua.security != "none-on-loopback":
            yield look(f"{place}.trusted_servers_dir", _trust_of(opcua.trusted_servers_dir))
    for position, mqtt in enumerate(settings.mqtt):
        place = f"{file_name}, mqtt[{position}]"
        if mqtt.password_file is not None:
            yield look(f"{place}.password_file", _secret_of(mqtt.password_file))
        if mqtt.tls_ca_file is not None:
            yield look(f"{place}.tls_ca_file", _authority_of(mqtt.tls_ca_file))
        if mqtt.tls_certificate_file is not None:
            yield look(f"{place}.tls_certificate_file", _own_certificate_of(mqtt))
    if any(opcua.security != "none-on-loopback" for opcua in settings.opcua):
        yield look("own certificate", lambda: _own_keys(settings.state_dir))
    yield from check_device(settings, file_name)


def _uplink_files(settings: Settings, place: str) -> Iterator[Finding]:
    for name in ("token_file", "password_file"):
        path = settings.uplink.files[name]
        if path is not None:
            yield look(f"{place}.{name}", _secret_of(path))
    if settings.uplink.is_encrypted:
        yield look(place, lambda: _uplink_tls(settings))


async def check_connections(settings: Settings, file_name: str) -> list[Finding]:
    """Connect to everything the settings name, once, and say what each answers.

    Parameters
    ----------
    settings : Settings
        What to connect to.
    file_name : str
        Name of the settings file, for messages.

    Returns
    -------
    list of Finding
        One for the uplink and each server, and one for each node that can't be read.
    """
    findings = [await asyncio.to_thread(_check_uplink, settings, f"{file_name}, uplink")]
    keys = _keys_if_there(settings.state_dir)
    for position, opcua in enumerate(settings.opcua):
        place = f"{file_name}, opcua[{position}]"
        if keys is None:
            text = f"{place}: not tried without an own certificate; run `staybolt-edge keys`"
            findings.append(Finding(is_good=False, text=text))
            continue
        findings += await _check_opcua(settings, opcua, keys, place)
    for position, mqtt in enumerate(settings.mqtt):
        findings += await _check_mqtt(mqtt, settings, f"{file_name}, mqtt[{position}]")
    return findings


def _writable(folder: Path) -> str:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        msg = f"{existing} can't be written by this user; change its owner or give another folder"
        raise SettingsError(msg)
    return f"{folder} can be written"


def _secret(path: Path) -> str:
    read_secret(path)
    if path.stat().st_mode & 0o077:
        msg = f"{path} can be read by other users; run `chmod 600 {path}`"
        raise SettingsError(msg)
    return f"{path} can be read"


def _secret_of(path: Path) -> Callable[[], str]:
    return lambda: _secret(path)


def _trust_of(folder: Path) -> Callable[[], str]:
    def find() -> str:
        count = len(trusted_certificates(folder))
        if count == 0:
            msg = f"{folder} holds no certificate; copy the server's certificate into it"
            raise SettingsError(msg)
        return f"{folder} holds {count} certificate{'s' if count > 1 else ''}"

    return find


def _authority_of(path: Path) -> Callable[[], str]:
    def find() -> str:
        try:
            ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as error:
            msg = f"{path} can't be used: {error.strerror or error}; give a certificate in PEM"
            raise SettingsError(msg) from error
        return f"{path} can be used"

    return find


def _uplink_tls(settings: Settings) -> str:
    uplink_context(settings.uplink)
    told = ending_words(settings.uplink, datetime.datetime.now(datetime.UTC))
    if told:
        raise SettingsError("; ".join(told))
    key = settings.uplink.tls_key_file
    if key is not None and key.stat().st_mode & 0o077:
        msg = f"tls_key_file {key} can be read by other users; run `chmod 600 {key}`"
        raise SettingsError(msg)
    return "certificates can be used"


def _own_keys(state_dir: Path) -> str:
    keys = load_keys(state_dir)
    end = keys.not_valid_after
    if datetime.datetime.now(datetime.UTC) > end - WARN_BEFORE_END:
        msg = (
            f"{keys.certificate_path} ends on {end:%Y-%m-%d}; delete the folder "
            f"{keys.certificate_path.parent}, run `staybolt-edge keys --state-dir {state_dir}` and "
            "let the servers trust the new one"
        )
        raise SettingsError(msg)
    return f"{keys.certificate_path} is {keys.application_uri}, until {end:%Y-%m-%d}"


def _keys_if_there(state_dir: Path) -> OwnKeys | None:
    try:
        return load_keys(state_dir)
    except SettingsError:
        return None


def _check_uplink(settings: Settings, place: str) -> Finding:
    uplink: HttpUplink | MqttUplink
    if settings.uplink.kind == "http":
        uplink = HttpUplink(settings.uplink)
        answer = uplink.post(HARMLESS_LINE)
    else:
        # A session of its own, so that a running agent is not put out.
        sender = Sender(settings.site, settings.agent)
        uplink = MqttUplink(settings.uplink, sender, "check", lambda: "check")
        answer = uplink.check()
    uplink.close()
    match answer:
        case Stored() | Refused() | Settled():
            return Finding(is_good=True, text=f"{place}: {uplink.place} lets us write")
        case TooLarge(n_bytes):
            text = f"{place}: {uplink.place} refuses even {n_bytes} bytes as too large"
            return Finding(is_good=False, text=text)
        case NotAllowed(reason) | Unavailable(reason):
            return Finding(is_good=False, text=f"{place}: {reason}")
    assert_never(answer)


async def _check_opcua(
    settings: Settings, opcua: OpcuaSettings, keys: OwnKeys, place: str
) -> list[Finding]:
    link = OpcuaLink(opcua, keys, settings.state_dir)
    try:
        await link.open()
        faults = [
            Finding(is_good=False, text=f"{place}.nodes[{position}].{problem}")
            for position, problem in await _node_faults(opcua, settings, link)
        ]
    except EdgeError as error:
        return [Finding(is_good=False, text=f"{place}: {error}")]
    except CLIENT_ERRORS as error:
        return [Finding(is_good=False, text=f"{place}: {link.place}: {words(error)}")]
    finally:
        await link.end()
    n_good = len(opcua.nodes) - len(faults)
    text = f"{place}: {opcua.endpoint} answers, {n_good} of {len(opcua.nodes)} nodes can be read"
    return [Finding(is_good=True, text=text), *_server_certificate(link, place), *faults]


def _server_certificate(link: OpcuaLink, place: str) -> Iterator[Finding]:
    """Tell of a server's certificate that ends soon."""
    certificate = link.server_certificate
    if certificate is None:
        return
    end = certificate.not_valid_after_utc
    if datetime.datetime.now(datetime.UTC) > end - WARN_BEFORE_END:
        text = (
            f"{place}: the server's certificate ends on {end:%Y-%m-%d}; renew it at the server and "
            f"let it be trusted with `staybolt-edge trust` before"
        )
        yield Finding(is_good=False, text=text)


async def _node_faults(
    opcua: OpcuaSettings, settings: Settings, link: OpcuaLink
) -> list[tuple[int, str]]:
    nodes = opcua.nodes
    found, problems = await resolve_nodes(link.client, nodes)
    keys = ["node_id" if node.browse_path is None else "browse_path" for node in nodes]
    faults = [(position, f"{keys[position]}: {problem}") for position, problem in problems.items()]
    values = await link.client.uaclient.read_attributes(list(found.values()), ua.AttributeIds.Value)
    for position, value in zip(found, values, strict=True):
        status = value.StatusCode
        if status is not None and status.name.startswith("BadNodeId"):
            text = f"{keys[position]}: the server answered {status.name}; correct it"
            faults.append((position, text))
            continue
        item = ua.MonitoredItemNotification(ClientHandle=1, Value=value)
        series = settings.series(nodes[position])
        unusable = decode_notifications([item], {1: 0}, (series,), 0).unusable
        if unusable:
            text = f"{keys[position]}: its value is {unusable[1]}, not a number; remove it"
            faults.append((position, text))
    return sorted(faults)


async def _check_mqtt(mqtt: MqttSettings, settings: Settings, place: str) -> list[Finding]:
    source = MqttSource(mqtt, settings.site, Counters())
    link = MqttLink(mqtt, mqtt.name, source.client_id, Counters(), is_trial=True)
    try:
        await link.open()
        refused = await link.subscribe(source.families.filters)
    except EdgeError as error:
        return [Finding(is_good=False, text=f"{place}: {error}")]
    finally:
        link.close()
    faults = [
        Finding(
            is_good=False,
            text=f"{place}.topics[{position}].topic: the broker refuses "
            f"{refused_topic_words(topic, refused[topic])}",
        )
        for position, topic in enumerate(source.families.filters)
        if topic in refused
    ]
    n_good = len(mqtt.topics) - len(faults)
    text = (
        f"{place}: {mqtt.host}:{mqtt.port} lets us in, "
        f"{n_good} of {len(mqtt.topics)} topics can be read"
    )
    return [Finding(is_good=True, text=text), *faults]


def _own_certificate_of(mqtt: MqttSettings) -> Callable[[], str]:
    def find() -> str:
        tls_context(mqtt)
        told = ending_words(mqtt, datetime.datetime.now(datetime.UTC))
        if told:
            raise SettingsError("; ".join(told))
        if mqtt.tls_key_file is not None and mqtt.tls_key_file.stat().st_mode & 0o077:
            msg = f"{mqtt.tls_key_file} can be read by others; run `chmod 600 {mqtt.tls_key_file}`"
            raise SettingsError(msg)
        return f"{mqtt.tls_certificate_file} can be used"

    return find
