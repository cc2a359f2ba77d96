"""The outbox's vectorised parts and its rules, in plain Python."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

WINDOW_NS = 60_000_000_000


def survivors(
    series: list[int], time_ns: list[int], value: list[float], quality: list[int]
) -> set[int]:
    """Places of the samples that thinning leaves."""
    groups: dict[tuple[int, int, int, bool], list[int]] = defaultdict(list)
    for place in range(len(series)):
        window = time_ns[place] // WINDOW_NS
        key = (series[place], window, quality[place], math.isnan(value[place]))
        groups[key].append(place)
    stays: set[int] = set()
    for (*_, is_nan), places in groups.items():
        in_time = sorted(places, key=lambda place: (time_ns[place], place))
        stays |= {in_time[0], in_time[-1]}
        if not is_nan:
            smallest = min(value[place] for place in in_time)
            largest = max(value[place] for place in in_time)
            stays.add(next(place for place in in_time if value[place] == smallest))
            stays.add(next(place for place in reversed(in_time) if value[place] == largest))
    return stays


@dataclass
class OutboxModel:
    """What an outbox with room for everything holds."""

    waiting: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    aside: list[tuple[str, str]] = field(default_factory=list)
    last: int = 0

    def append(self, entries: list[tuple[str, bytes]]) -> list[int]:
        numbers = []
        for entry in entries:
            self.last += 1
            self.waiting[self.last] = entry
            numbers.append(self.last)
        return numbers

    def oldest(self, n: int) -> list[int]:
        return sorted(self.waiting)[:n]

    def newest_alarms(self, n: int) -> list[int]:
        alarms = [number for number, (kind, _) in self.waiting.items() if kind == "alarm"]
        return sorted(alarms, reverse=True)[:n]

    def forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self.waiting.pop(number, None)

    def set_aside(self, numbers: list[int], reason: str) -> None:
        for number in numbers:
            if self.waiting.pop(number, None) is not None:
                self.aside.append((f"record {number}", reason))
