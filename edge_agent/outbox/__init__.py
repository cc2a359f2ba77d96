"""The outbox: what keeps samples on the site until the store has them."""

from edge_agent.outbox.desk import QuarantineDesk
from edge_agent.outbox.store import Outbox

__all__ = ["Outbox", "QuarantineDesk"]
