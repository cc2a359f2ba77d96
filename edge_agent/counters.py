"""What the agent has done since it started, and the line in the log that says so."""

from dataclasses import dataclass, field

from edge_agent.records import OutboxCounts


@dataclass(slots=True)
class Counters:
    """What the agent has done since it started; one line a minute shows it."""

    received: int = 0
    """Samples delivered by sources."""
    stored: int = 0
    """Samples made durable in the outbox."""
    acknowledged: int = 0
    """Samples that the store has answered for."""
    refused: int = 0
    """Samples that the store will not take; they are in the quarantine."""
    misfits: int = 0
    """Messages and values that could not be read; messages are in the quarantine."""
    bad_nodes: int = 0
    """OPC UA nodes that are in the settings but can't be read at the moment."""
    overflows: int = 0
    """Values before which an OPC UA server says it had to drop others: its queue was full."""
    missed: int = 0
    """OPC UA notifications that never came, seen by a gap in their numbers."""
    uncertain: int = 0
    """OPC UA values whose status was Uncertain."""
    bad: int = 0
    """OPC UA values whose status was Bad; such a sample has the quality bad."""
    opcua_status: dict[str, int] = field(default_factory=dict)
    """OPC UA values by the name of their status, of those that were not Good."""
    gaps: int = 0
    """Times an OPC UA server had nothing of ours any more, so that its queue was lost."""
    history: int = 0
    """Samples read from the history of OPC UA servers, to fill gaps."""
    certificate_warnings: int = 0
    """Certificates, our own or servers', that were seen to end soon."""
    sessions_lost: int = 0
    """Times an MQTT broker had forgotten our session, with the messages it kept for us."""
    sparkplug_missed: int = 0
    """Sparkplug messages that never came, seen by a gap in their numbers."""
    rebirths_asked: int = 0
    """Times a Sparkplug node was asked for its births."""
    reloads: int = 0
    """Times that the settings were read again and taken."""
    reloads_refused: int = 0
    """Times that the settings were read again and refused, because something in them is wrong."""
    heartbeats: int = 0
    """Times that the agent's own counts were sent upstream."""
    reader_restarts: int = 0
    """Times a process that reads an OPC UA server hung, needed too much memory or ended."""
    faults: int = 0
    """Errors that the program did not expect; each is logged in full."""


def report_line(counters: Counters, counts: OutboxCounts) -> str:
    """Say in one line where the samples are.

    Parameters
    ----------
    counters : Counters
        What the agent has done since it started.
    counts : OutboxCounts
        What is in the outbox now, and what it ever dropped.

    Returns
    -------
    str
        Every count with its name.
    """
    return (
        f"samples: {counters.received} received, {counters.stored} stored in outbox, "
        f"{counters.acknowledged} acknowledged by the store, {counts.n_samples} waiting "
        f"({counts.n_used_bytes / 1e6:.1f} MB), {counts.n_dropped_samples} dropped, "
        f"{counters.refused} refused; {counters.misfits} misfits, {counters.bad_nodes} bad nodes, "
        f"{counters.overflows} queue overflows, {counters.missed} missed notifications, "
        f"{counters.faults} faults"
    )
