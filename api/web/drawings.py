"""Geometry of small drawings; ``templates/drawings.html`` turns it into SVG.

Drawn on the server they need no script and print as they are. Colours and strokes are classes of
``staybolt.css``, so that light, dark and print follow the page. Coordinates are SVG user units.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

LEFT, RIGHT, TOP, BOTTOM = 46.0, 350.0, 12.0, 124.0
"""Frame of a plot within its picture of 360 x 154; ticks are written outside it."""

StepKind = Literal["base", "raise", "lower", "total"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a shared scale, in per mille of its width.

    Parameters
    ----------
    x, width : float
        Where it begins and how long it is.
    zero : float
        Where zero lies.
    kind : str
        What it stands for, for its colour.
    low, high : float or None
        Ends of a whisker.
    """

    x: float
    width: float
    zero: float
    kind: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A written mark of an axis.

    Parameters
    ----------
    at : float
        Where it is.
    text : str
        What is written.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A curve in a frame.

    Parameters
    ----------
    points : str
        The curve, as SVG writes points.
    area : str
        The curve closed along the bottom.
    x_ticks, y_ticks : list of Tick
        The axes.
    mark : tuple of float or None
        A point on the curve that is named.
    band : tuple of float or None
        Left end and width of a shaded interval.
    """

    points: str
    area: str
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    mark: tuple[float, float] | None = None
    band: tuple[float, float] | None = None


def waterfall(steps: Sequence[tuple[float, StepKind]]) -> list[Bar]:
    """Lay out a waterfall: each step begins where the one before ended.

    Parameters
    ----------
    steps : sequence of (float, str)
        Amount and kind of each; a ``total`` begins at zero.

    Returns
    -------
    list of Bar
        On one scale.

    Examples
    --------
    >>> [(bar.x, bar.width) for bar in waterfall([(2.0, "base"), (3.0, "raise"), (5.0, "total")])]
    [(0.0, 400.0), (400.0, 600.0), (0.0, 1000.0)]
    """
    spans: list[tuple[float, float, StepKind]] = []
    height = 0.0
    for amount, kind in steps:
        start = 0.0 if kind in {"base", "total"} else height
        height = start + amount
        spans.append((start, height, kind))
    ends = [0.0, *(value for start, end, _ in spans for value in (start, end))]
    lowest, highest = min(ends), max(ends)
    scale = 1000.0 / max(highest - lowest, 1e-9)
    return [
        Bar(
            x=scale * (min(start, end) - lowest),
            width=max(scale * abs(end - start), 3.0),
            zero=scale * (0.0 - lowest),
            kind=kind,
        )
        for start, end, kind in spans
    ]


def interval(lower: float, middle: float, upper: float, highest: float) -> Bar:
    """Lay out an estimate with its interval on a scale from zero.

    Parameters
    ----------
    lower, middle, upper : float
        The estimate and the ends of its interval.
    highest : float
        Right end of the scale; what lies beyond is drawn at the end.

    Returns
    -------
    Bar
        Whose length is the estimate, with the interval as whisker.
    """
    scale = 1000.0 / max(highest, 1e-9)
    low, mid, high = (
        min(max(scale * value, 0.0), 1000.0) if math.isfinite(value) else 1000.0
        for value in (lower, middle, upper)
    )
    return Bar(x=0.0, width=mid, zero=0.0, kind="estimate", low=low, high=max(high, low + 4.0))


def plot(
    x: Sequence[float],
    y: Sequence[float],
    *,
    y_text: Callable[[float], str],
    x_text: Callable[[float], str],
    highest_y: float | None = None,
    marked_x: float | None = None,
    band: tuple[float, float] | None = None,
) -> Plot | None:
    """Lay out a curve that rises from zero at the bottom.

    Parameters
    ----------
    x, y : sequence of float
        Points, x rising.
    y_text, x_text : callable
        Write a tick.
    highest_y : float, optional
        Top of the upright scale; the largest value, rounded up, unless told.
    marked_x : float, optional
        Where the curve is marked.
    band : tuple of float, optional
        An interval of x to shade.

    Returns
    -------
    Plot or None
        None if there are fewer than two points.
    """
    if len(x) < 2:
        return None
    top = round_up(max(y)) if highest_y is None else highest_y
    first, last = x[0], x[-1]
    x_scale = (RIGHT - LEFT) / max(last - first, 1e-9)
    y_scale = (BOTTOM - TOP) / max(top, 1e-9)

    def across(value: float) -> float:
        return round(LEFT + x_scale * (min(max(value, first), last) - first), 1)

    def down(value: float) -> float:
        return round(BOTTOM - y_scale * min(max(value, 0.0), top), 1)

    points = " ".join(f"{across(a)},{down(b)}" for a, b in zip(x, y, strict=True))
    return Plot(
        points=points,
        area=f"{LEFT},{BOTTOM} {points} {RIGHT},{BOTTOM}",
        x_ticks=[Tick(across(at), x_text(at)) for at in _ticks(first, last, 4)],
        y_ticks=[Tick(down(at), y_text(at)) for at in (0.0, top / 2, top)],
        mark=None if marked_x is None else (across(marked_x), down(height_at(marked_x, x, y))),
        band=None
        if band is None
        else (across(band[0]), max(round(across(band[1]) - across(band[0]), 1), 2.0)),
    )


def round_up(value: float) -> float:
    """Round up to a number that people like to read on an axis.

    Parameters
    ----------
    value : float
        Zero or more.

    Returns
    -------
    float
        1, 2, 4, 5 or 10 times a power of ten; 1 for what is as good as zero.

    Examples
    --------
    >>> round_up(3.1), round_up(0.0), round_up(8200.0)
    (4.0, 1.0, 10000.0)
    """
    if value < 1e-9:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (step * power for step in (1.0, 2.0, 4.0, 5.0))
    return next((step for step in steps if step >= value), 10.0 * power)


def height_at(marked_x: float, x: Sequence[float], y: Sequence[float]) -> float:
    """Read a curve between its points.

    Parameters
    ----------
    marked_x : float
        Where.
    x, y : sequence of float
        Points, x rising.

    Returns
    -------
    float
        Interpolated; the nearest end outside.

    Examples
    --------
    >>> height_at(1.5, [1.0, 2.0], [10.0, 20.0]), height_at(9.0, [1.0, 2.0], [10.0, 20.0])
    (15.0, 20.0)
    """
    for (x0, x1), (y0, y1) in zip(pairwise(x), pairwise(y), strict=True):
        if x0 <= marked_x <= x1:
            return y0 + (marked_x - x0) / max(x1 - x0, 1e-9) * (y1 - y0)
    return y[0] if marked_x < x[0] else y[-1]


def _ticks(first: float, last: float, n_about: int) -> list[float]:
    step = round_up((last - first) / n_about)
    start = math.ceil(first / step) * step
    return [start + place * step for place in range(int((last - start) / step + 1e-9) + 1)]
