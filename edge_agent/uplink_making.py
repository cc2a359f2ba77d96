"""Makes the connections of the uplink that the settings ask for."""

from collections.abc import Callable

from edge_agent.ports import Uplink
from edge_agent.records import Lane
from edge_agent.settings import Settings
from ingest.telemetry.mqtt_contract import Sender


def make_uplink(settings: Settings, lane: Lane, outbox_id: Callable[[], str]) -> Uplink:
    """Make the connection of one lane.

    Parameters
    ----------
    settings : Settings
        Of the agent.
    lane : {"alarm", "backlog"}
        The lane.
    outbox_id : callable
        Gives the identity of the outbox, which changes when a damaged one is begun anew.

    Returns
    -------
    Uplink
        Not connected yet.
    """
    # Each brings libraries of its own along: only those of the kind in use are loaded.
    if settings.uplink.kind == "http":
        from edge_agent.uplink_http import HttpUplink

        return HttpUplink(settings.uplink)
    from edge_agent.uplink_mqtt import MqttUplink

    return MqttUplink(settings.uplink, Sender(settings.site, settings.agent), lane, outbox_id)
