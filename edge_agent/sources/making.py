"""Makes the sources that the settings ask for; nothing is connected by it."""

import logging

from edge_agent.counters import Counters
from edge_agent.keys import OwnKeys, ensure_keys
from edge_agent.ports import Source
from edge_agent.settings import Settings
from edge_agent.settings_changes import sources_of
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.mqtt import MqttSource
from edge_agent.sources.opcua import OpcuaSource

logger = logging.getLogger(__name__)


def make_source(settings: Settings, name: str, counters: Counters) -> Source:
    """Make one source of the settings.

    Parameters
    ----------
    settings : Settings
        All settings.
    name : str
        What it is called in logs, such as ``opcua hall-1``.
    counters : Counters
        What it counts in.

    Returns
    -------
    Source
        Not connected yet.

    Raises
    ------
    SettingsError
        If the agent's own certificate can't be read or made.
    """
    one = sources_of(settings)[name]
    if isinstance(one, MqttSettings):
        return mqtt_source(settings, one, counters)
    return opcua_source(settings, one, own_keys(settings), counters)


def prepare_sources(settings: Settings) -> None:
    """See that what sources of the settings have in common is there.

    Parameters
    ----------
    settings : Settings
        All settings.

    Raises
    ------
    SettingsError
        If the agent's own certificate can't be read or made.
    """
    if settings.opcua:
        own_keys(settings)


def own_keys(settings: Settings) -> OwnKeys:
    """Load the agent's own certificate, or make one and say so.

    Parameters
    ----------
    settings : Settings
        All settings.

    Returns
    -------
    OwnKeys
        The certificate and key.

    Raises
    ------
    SettingsError
        If it can't be read or made.
    """
    keys, is_new = ensure_keys(settings.state_dir)
    if is_new:
        logger.warning(
            "made a new certificate %s; let the OPC UA servers trust it", keys.certificate_path
        )
    return keys


def opcua_source(
    settings: Settings, opcua: OpcuaSettings, keys: OwnKeys, counters: Counters
) -> Source:
    """Make the source of one OPC UA server.

    Parameters
    ----------
    settings : Settings
        All settings.
    opcua : OpcuaSettings
        The server's.
    keys : OwnKeys
        The agent's own certificate.
    counters : Counters
        What it counts in.

    Returns
    -------
    Source
        Not connected yet.
    """
    series = tuple(settings.series(node) for node in opcua.nodes)
    return OpcuaSource(opcua, series, keys, settings.state_dir, counters)


def mqtt_source(settings: Settings, mqtt: MqttSettings, counters: Counters) -> Source:
    """Make the source of one MQTT broker.

    Parameters
    ----------
    settings : Settings
        All settings.
    mqtt : MqttSettings
        The broker's.
    counters : Counters
        What it counts in.

    Returns
    -------
    Source
        Not connected yet.
    """
    return MqttSource(mqtt, settings.site, counters, settings.state_dir)
