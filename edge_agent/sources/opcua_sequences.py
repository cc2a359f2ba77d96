"""Which notifications of an OPC UA subscription have come, and which must be asked for again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_REPUBLISH: Final = 1000
"""Notifications asked for again at most after one publish response."""

REMEMBERED_SEQUENCES: Final = 10_000
"""More than any server keeps for retransmission."""


@dataclass(slots=True)
class Sequences:
    """Which notifications of a subscription have come, and which have not.

    Parameters
    ----------
    last : int or None
        Highest number that came; None if that is not known, so that only what the server says it
        holds is missing until the first comes.
    seen : set of int
        Numbers that came, of the latest.
    """

    last: int | None = 0
    seen: set[int] = field(default_factory=set)

    def note(self, sequence: int) -> None:
        """Remember that a notification came.

        Parameters
        ----------
        sequence : int
            Its number.
        """
        self.seen.add(sequence)
        self.last = max(self.last or 0, sequence)
        if len(self.seen) > 2 * REMEMBERED_SEQUENCES:
            self.seen = {kept for kept in self.seen if kept > self.last - REMEMBERED_SEQUENCES}

    def missing(self, upto: int, available: Sequence[int]) -> list[int]:
        """Numbers that should have come before this response and did not.

        Parameters
        ----------
        upto : int
            Highest number that the server has used before it.
        available : sequence of int
            Numbers that the server holds for retransmission.

        Returns
        -------
        list of int
            In order, at most the last `MAX_REPUBLISH`.

        Examples
        --------
        >>> sequences = Sequences(last=3, seen={1, 2, 3})
        >>> sequences.missing(6, available=[2, 5, 7])
        [4, 5, 6]
        """
        first = upto + 1 if self.last is None else self.last + 1
        gap = set(range(max(first, upto - MAX_REPUBLISH), upto + 1))
        held = {sequence for sequence in available if sequence <= upto}
        return sorted((gap | held) - self.seen)[-MAX_REPUBLISH:]
