"""What is different between two settings of one agent, and what of it can be taken while it runs.

Sources are compared one by one, so that what did not change is not touched. Options that a running
agent can't take keep their old value until it is started again; which those are stands in
`NEEDS_RESTART`, and the documentation says it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from edge_agent.settings import Settings
from edge_agent.settings_fields import Group
from edge_agent.settings_mqtt import MqttSettings
from edge_agent.settings_opcua import OpcuaSettings

SourceSettings = OpcuaSettings | MqttSettings

NEEDS_RESTART: Final = (
    "site",
    "agent",
    "state_dir",
    "uplink",
    "outbox",
    "reader",
    "status.host",
    "status.port",
)
"""Options, or whole tables, that take effect when the agent is started again."""

TAKEN_LIVE: Final = (
    "status.heartbeat_s", "status.source_silent_s", "status.uplink_down_s", "opcua", "mqtt",
)  # fmt: skip
"""Options, or whole tables, that a running agent takes when it is told to read them again."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How to get from the settings in force to those of the file.

    Parameters
    ----------
    settings : Settings
        What is in force afterwards: the file's, but what needs a restart is as before.
    added, removed, changed : tuple of str
        Names of sources, such as ``opcua hall-1``.
    needs_restart : tuple of str
        Options that differ and take effect only when the agent is started again.
    """

    settings: Settings
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def sources_of(settings: Settings) -> dict[str, SourceSettings]:
    """Name the sources of the settings as they are called in logs.

    Parameters
    ----------
    settings : Settings
        All settings.

    Returns
    -------
    dict of str to SourceSettings
        In the order of the settings, OPC UA first.
    """
    sources: dict[str, SourceSettings] = {f"opcua {one.name}": one for one in settings.opcua}
    sources.update({f"mqtt {one.name}": one for one in settings.mqtt})
    return sources


def compare(old: Settings, new: Settings) -> Changes:
    """Find what is different.

    Parameters
    ----------
    old : Settings
        In force.
    new : Settings
        As the file says.

    Returns
    -------
    Changes
        What to do.
    """
    before, after = sources_of(old), sources_of(new)
    needs_restart = tuple(place for name in NEEDS_RESTART for place in _differences(old, new, name))
    kept = {name: getattr(old, name) for name in NEEDS_RESTART if "." not in name}
    kept_status = {"host": old.status.host, "port": old.status.port}
    status = new.status.model_copy(update=kept_status)
    return Changes(
        settings=new.model_copy(update={**kept, "status": status}),
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if name in before and after[name] != before[name]),
        needs_restart=needs_restart,
    )


def _differences(old: Settings, new: Settings, name: str) -> Iterator[str]:
    """Places below an option where two settings differ."""
    first: object = old
    second: object = new
    for part in name.split("."):
        first, second = getattr(first, part), getattr(second, part)
    if first == second:
        return
    if isinstance(first, Group) and isinstance(second, Group):
        for inner in _fields(first):
            if getattr(first, inner) != getattr(second, inner):
                yield f"{name}.{inner}"
    else:
        yield name


def _fields(group: Group) -> Mapping[str, object]:
    return type(group).model_fields
