"""Makes the sources that the settings ask for; nothing is connected by it."""

import logging

from edge_agent.counters import Counters
from edge_agent.key_files import has_keys
from edge_agent.ports import Source
from edge_agent.reader.source import ReaderSource
from edge_agent.settings import Settings
from edge_agent.settings_changes import sources_of
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.settings_opcua import OpcuaSettings

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
        If the agent's own certificate can't be made.
    """
    one = sources_of(settings)[name]
    if isinstance(one, MqttSettings):
        return mqtt_source(settings, one, counters)
    return opcua_source(settings, one, counters)


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


def own_keys(settings: Settings) -> None:
    """Make the agent's own certificate if it has none, and say so.

    Parameters
    ----------
    settings : Settings
        All settings.

    Raises
    ------
    SettingsError
        If it can't be made.
    """
    if has_keys(settings.state_dir):
        return
    # The library that makes it takes more memory than the rest of the agent's code.
    from edge_agent.keys import ensure_keys

    keys, is_new = ensure_keys(settings.state_dir)
    if is_new:
        logger.warning(
            "made a new certificate %s; let the OPC UA servers trust it", keys.certificate_path
        )


def opcua_source(settings: Settings, opcua: OpcuaSettings, counters: Counters) -> Source:
    """Make the source of one OPC UA server; a process of its own will read it.

    Parameters
    ----------
    settings : Settings
        All settings.
    opcua : OpcuaSettings
        The server's.
    counters : Counters
        What it counts in.

    Returns
    -------
    Source
        Not connected yet.
    """
    return ReaderSource(opcua, settings.site, settings.state_dir, settings.reader, counters)


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
    # Its libraries take a tenth of the agent's memory: not where there is no broker.
    from edge_agent.sources.mqtt import MqttSource

    return MqttSource(mqtt, settings.site, counters, settings.state_dir)
