"""What a reader process has counted, added to what the agent counts."""

import dataclasses
from typing import Any

from edge_agent.counters import Counters

LEVELS = frozenset({"bad_nodes"})
"""Counts of how it is, not of what has happened: they go when the process does."""

MAX_NAMES = 1000
"""Names in one table of counts; OPC UA has fewer status codes."""


class ReaderCounts:
    """Adds what is new in the counters of one reader process.

    Parameters
    ----------
    counters : Counters
        The agent's.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._told = Counters()

    def take(self, document: dict[str, Any]) -> None:
        """Take the process's counters.

        Parameters
        ----------
        document : dict
            Its counters by name; what is no count is passed over.
        """
        for field in dataclasses.fields(Counters):
            said, told = document.get(field.name), getattr(self._told, field.name)
            if isinstance(told, dict):
                if isinstance(said, dict):
                    self._add_each(getattr(self._counters, field.name), told, said)
            elif _is_count(said):
                setattr(self._told, field.name, said)
                now = getattr(self._counters, field.name) + said - told
                setattr(self._counters, field.name, now)

    def forget(self) -> None:
        """Take back what holds only while the process lives."""
        for name in LEVELS:
            now = getattr(self._counters, name) - getattr(self._told, name)
            setattr(self._counters, name, now)
            setattr(self._told, name, 0)

    @staticmethod
    def _add_each(counts: dict[str, int], told: dict[str, int], said: dict[str, Any]) -> None:
        for name, count in said.items():
            if _is_count(count) and (name in told or len(told) < MAX_NAMES):
                counts[name] = counts.get(name, 0) + count - told.get(name, 0)
                told[name] = count


def _is_count(said: object) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and 0 <= said < 2**63
