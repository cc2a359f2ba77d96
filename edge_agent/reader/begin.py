"""What a reader process is told when it begins."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edge_agent.counters import Counters
from edge_agent.settings_opcua import OpcuaSettings
from ingest.telemetry import Series

if TYPE_CHECKING:
    from edge_agent.sources.opcua import OpcuaSource


@dataclass(frozen=True, slots=True)
class Begin:
    """What to read, and within which bounds.

    Parameters
    ----------
    settings : OpcuaSettings
        The server and its nodes.
    series : tuple of Series
        Series of each node, in their order.
    state_dir : Path
        State folder of the agent, with its keys.
    max_memory_bytes : int
        Limit on the memory of the process. [byte]
    log_level : int
        What to log, as the agent does.
    is_verbose : bool
        Whether to log also what the OPC UA library has to say.
    """

    settings: OpcuaSettings
    series: tuple[Series, ...]
    state_dir: Path
    max_memory_bytes: int
    log_level: int
    is_verbose: bool

    def to_json(self) -> dict[str, Any]:
        """Write it down for the process.

        Returns
        -------
        dict
            What JSON can hold.
        """
        return {
            "settings": self.settings.model_dump(mode="json"),
            "series": self.series,
            "state_dir": str(self.state_dir),
            "max_memory_bytes": self.max_memory_bytes,
            "log_level": self.log_level,
            "is_verbose": self.is_verbose,
        }

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> Self:
        """Read what the agent wrote down.

        Parameters
        ----------
        document : dict
            What `to_json` made.

        Returns
        -------
        Begin
            The same.
        """
        return cls(
            read_settings(document["settings"]),
            tuple(Series(*names) for names in document["series"]),
            Path(document["state_dir"]),
            document["max_memory_bytes"],
            document["log_level"],
            document["is_verbose"],
        )

    def make_source(self, counters: Counters) -> "OpcuaSource":
        """Make the source; only here is the OPC UA library loaded.

        Parameters
        ----------
        counters : Counters
            What it counts in.

        Returns
        -------
        OpcuaSource
            Not connected yet.
        """
        from edge_agent.keys import ensure_keys
        from edge_agent.sources.opcua import OpcuaSource

        keys, _ = ensure_keys(self.state_dir)
        return OpcuaSource(self.settings, self.series, keys, self.state_dir, counters)


def read_settings(document: dict[str, Any]) -> OpcuaSettings:
    """Read settings that the agent has checked already.

    Parameters
    ----------
    document : dict
        Settings of a server as JSON.

    Returns
    -------
    OpcuaSettings
        The settings.
    """
    return OpcuaSettings.model_validate(document)


def series_of(settings: OpcuaSettings, site: str) -> tuple[Series, ...]:
    """Series of each node of a server, in their order.

    Parameters
    ----------
    settings : OpcuaSettings
        The server and its nodes.
    site : str
        Site of its machines.

    Returns
    -------
    tuple of Series
        One for each node.
    """
    return tuple(Series(site, node.machine, node.signal) for node in settings.nodes)
