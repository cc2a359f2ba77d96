"""What was sensed, as an append-only list of (node, counter), and what a verdict on it is.

The list shares no key with the system: no time, no series, no sequence number. A dictionary keyed
as the system keys would hide exactly the mistakes that this is here to find.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

Reading = tuple[str, int]
"""Node and its counter, which grows by one with each value sensed."""


@dataclass(slots=True)
class Oracle:
    """The log of what was sensed."""

    log: list[Reading] = field(default_factory=list)

    def sensed(self, node: str, counter: int) -> None:
        self.log.append((node, counter))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison of the log with a store found."""

    n_sensed: int
    lost: tuple[Reading, ...]
    doubled: tuple[Reading, ...]
    """Held more than once by a store that already keeps one value for each key."""
    alien: tuple[Reading, ...]
    """Held, and never sensed."""

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.alien)

    def __str__(self) -> str:
        parts = [f"{self.n_sensed} sensed"]
        for name in ("lost", "doubled", "alien"):
            found = getattr(self, name)
            shown = f" ({', '.join(f'{node} {n}' for node, n in found[:3])}…)" if found else ""
            parts.append(f"{len(found)} {name}{shown}")
        return ", ".join(parts)


def judge(
    log: Iterable[Reading], held: Iterable[Reading], aside: Collection[Reading] = ()
) -> Verdict:
    """Compare what was sensed with what a store holds.

    Parameters
    ----------
    log : iterable of Reading
        What was sensed.
    held : iterable of Reading
        What the store holds, one entry for each key of the store.
    aside : collection of Reading
        What need not be held: set aside with a reason, or dropped and counted.
    """
    sensed, there = Counter(log), Counter(held)
    excused = set(aside)
    return Verdict(
        n_sensed=sum(sensed.values()),
        lost=tuple(sorted(one for one in sensed if one not in there and one not in excused)),
        doubled=tuple(sorted(one for one, n in there.items() if n > sensed.get(one, n))),
        alien=tuple(sorted(one for one in there if one not in sensed)),
    )
