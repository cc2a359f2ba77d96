"""Finds the lines that a store will not take by asking it about fewer and fewer of them.

A store that refuses a request with 400 minds one line or a few, and may or may not say which. What
it took beside them is not certain: InfluxDB writes some of the others, or none. So a line counts as
stored only when a request that holds it was answered with 2xx, and as bad only when the store
minds it alone, names it within a request that holds nothing it does not name, or says that it took
none of a request. Until then the lines are parted: first by records, then within a record.

What a store says about lines is a hint, used to part what it names from the rest. A hint that turns
out wrong is the last one that is followed, so that no answer can make the search long: n lines of
which k are bad take about ``2 k log2(n / k)`` requests without hints, and three with good ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_agent.messages import Piece, Record, Refused


@dataclass(frozen=True, slots=True)
class Judged:
    """A record of which every line is now stored or bad.

    Parameters
    ----------
    sequence : int
        Of the record.
    bad : tuple of (int, str)
        Lines that the store will never take, by their place in the record, with its reason.
    """

    sequence: int
    bad: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Question:
    """Pieces to be asked about together; `is_named` if a hint put them together."""

    pieces: tuple[Piece, ...]
    is_named: bool = False


@dataclass(slots=True)
class Search:
    """A search through records that were refused together.

    Parameters
    ----------
    records : sequence of Record
        What the refused request held.
    """

    records: Sequence[Record]
    _open: dict[int, int] = field(init=False)
    _bad: dict[int, dict[int, str]] = field(init=False)
    _questions: list[_Question] = field(init=False)
    _trusts_hints: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self._open = {record.sequence: max(record.n_lines, 1) for record in self.records}
        self._bad = {record.sequence: {} for record in self.records}
        pieces = tuple(Piece(record.sequence) for record in self.records)
        self._questions = [_Question(pieces)]

    @property
    def is_over(self) -> bool:
        """Whether every record is judged."""
        return not self._questions

    @property
    def question(self) -> tuple[Piece, ...]:
        """What to ask the store about next, in one request."""
        return self._questions[-1].pieces

    def stored(self) -> list[Judged]:
        """Take the answer that the store has all of the question.

        Returns
        -------
        list of Judged
            Records of which nothing is open any more.
        """
        question = self._questions.pop()
        if question.is_named:
            self._trusts_hints = False
        return self._close(question.pieces)

    def refused(self, answer: Refused) -> list[Judged]:
        """Take the answer that the store minds something of the question.

        Parameters
        ----------
        answer : Refused
            With what it says about single lines, counted through the whole request.

        Returns
        -------
        list of Judged
            Records of which nothing is open any more.
        """
        question = self._questions.pop()
        lines = [(piece.sequence, line) for piece in question.pieces for line in self._lines(piece)]
        named = {lines[place]: reason for place, reason in answer.named if place < len(lines)}
        if answer.is_rest_stored and named:
            return self._condemn(named, question.pieces)
        if len(lines) == 1 or answer.is_all or len(named) == len(lines):
            return self._condemn(
                {line: named.get(line, answer.reason) for line in lines}, question.pieces
            )
        if named and self._trusts_hints and not question.is_named:
            rest = _pieces([line for line in lines if line not in named])
            # What is named comes first: a wrong hint shows before the next one is followed.
            suspects = _pieces([line for line in lines if line in named])
            self._questions += [_Question(rest), _Question(suspects, is_named=True)]
            return []
        first, second = self._halves(question.pieces)
        self._questions += [_Question(second), _Question(first)]
        return []

    def _lines(self, piece: Piece) -> Sequence[int]:
        if piece.lines is not None:
            return piece.lines
        return range(next(max(r.n_lines, 1) for r in self.records if r.sequence == piece.sequence))

    def _halves(self, pieces: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        if len(pieces) > 1:
            middle = len(pieces) // 2
            return pieces[:middle], pieces[middle:]
        (piece,) = pieces
        lines = tuple(self._lines(piece))
        middle = len(lines) // 2
        return (Piece(piece.sequence, lines[:middle]),), (Piece(piece.sequence, lines[middle:]),)

    def _condemn(self, bad: dict[tuple[int, int], str], pieces: tuple[Piece, ...]) -> list[Judged]:
        for (sequence, line), reason in bad.items():
            self._bad[sequence][line] = reason
        return self._close(pieces)

    def _close(self, pieces: tuple[Piece, ...]) -> list[Judged]:
        judged = []
        for piece in pieces:
            self._open[piece.sequence] -= len(self._lines(piece))
            if not self._open[piece.sequence]:
                bad = tuple(sorted(self._bad[piece.sequence].items()))
                judged.append(Judged(piece.sequence, bad))
        return judged


def _pieces(lines: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    """Gather lines of several records, in their order, into one piece for each record."""
    of: dict[int, list[int]] = {}
    for sequence, line in lines:
        of.setdefault(sequence, []).append(line)
    return tuple(Piece(sequence, tuple(places)) for sequence, places in of.items())
