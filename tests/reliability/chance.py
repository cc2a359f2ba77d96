"""Seeded chance, and the points inside commit and acknowledgement windows where it strikes.

Faults at random times hardly ever meet a window of milliseconds; a point that stands inside the
window and strikes with a chance of its own does (FoundationDB calls this buggify).
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable


class Chance:
    """One seed's luck, its history and its hash.

    Parameters
    ----------
    seed : int
        Everything follows from it.
    now_s : callable
        Virtual time. [s]
    """

    def __init__(self, seed: int, now_s: Callable[[], float]) -> None:
        self.random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._now_s = now_s
        self._digest = hashlib.sha256()
        self.is_calm = False
        self.struck: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()

    def strikes(self, point: str, probability: float) -> bool:
        """Whether the fault at this point happens now; never in calm."""
        self.passed[point] += 1
        if self.is_calm or self.random.random() >= probability:
            return False
        self.struck[point] += 1
        self.note("fault", point)
        return True

    def note(self, what: str, *details: object) -> None:
        """Write a line of the history; only its hash is kept."""
        self._digest.update(f"{self._now_s():.9f} {what} {details}\n".encode())

    @property
    def history(self) -> str:
        return self._digest.hexdigest()
