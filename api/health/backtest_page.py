"""One page that shows a backtest: scores along time, truth and alarms, as SVG without a script."""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

import numpy as np

from analytics.arrays import BoolArray, FloatArray
from analytics.health.explanations import sentence
from analytics.scoring.segments import segments_of
from api.health.backtest import Backtest

WIDTH, HEIGHT = 920, 150
LEFT, RIGHT, TOP, BOTTOM = 46.0, 910.0, 10.0, 118.0
MAX_POINTS: Final = 800

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1f23; background: #fff; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: #57606a; }
.score { fill: none; stroke: #0b5cad; stroke-width: 1.2; } .limit { stroke: #8c959f;
  stroke-dasharray: 4 3; } .truth { fill: #f6c8c4; } .alarm { fill: #b3261e; }
"""


def page(title: str, figures: dict[str, Any], found: list[Backtest]) -> str:
    """Write the page.

    Parameters
    ----------
    title : str
        Heading.
    figures : dict
        From `api.health.backtest.summary`.
    found : list of Backtest
        Of every file.

    Returns
    -------
    str
        HTML that needs nothing else.
    """
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{_shown(value)}</td></tr>'
        for name, value in figures.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><table>{rows}</table>"
        "<p>Blue: score, 0.5 at the dashed limit. Light red: anomalies as labelled. Red bar below: "
        "alarm. Learned from each file's first rows alone; labels were used to count, not to set "
        "a limit.</p>" + "".join(_figure(one) for one in found) + "</body></html>\n"
    )


def _figure(one: Backtest) -> str:
    notes = []
    if one.events is not None:
        notes.append(
            f"{one.events.n_found} of {one.events.n_events} anomalies found, "
            f"{one.events.n_false} false alarms"
        )
    told = sentence("While in alarm", one.why) if one.why else "No alarm."
    note = escape("; ".join(notes))
    return f"<h2>{escape(one.file.name)}</h2><p>{note}</p>{drawing(one)}<p>{escape(told)}</p>"


def drawing(one: Backtest) -> str:
    """Draw the scores of one file.

    Parameters
    ----------
    one : Backtest
        What was said.

    Returns
    -------
    str
        An SVG element.
    """
    time_h = one.file.time_h[one.n_healthy :]
    score = np.nan_to_num(one.scores.score)
    first, last = float(time_h[0]), float(time_h[-1])
    scale = (RIGHT - LEFT) / max(last - first, 1e-9)

    def across(at_h: float) -> float:
        return round(LEFT + scale * (at_h - first), 1)

    def bars(flags: BoolArray, kind: str, top: float, height: float) -> Iterator[str]:
        for begin, end in segments_of(flags):
            x = across(float(time_h[begin]))
            width = max(across(float(time_h[end])) - x, 1.0)
            yield f'<rect class="{kind}" x="{x}" y="{top}" width="{width:.1f}" height="{height}"/>'

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="score along time">']
    if one.file.is_anomaly is not None:
        parts += bars(one.file.is_anomaly[one.n_healthy :], "truth", TOP, BOTTOM - TOP)
    parts += bars(one.scores.is_alarm, "alarm", BOTTOM + 4, 6)
    points = " ".join(
        f"{across(float(time_h[row]))},{BOTTOM - (BOTTOM - TOP) * score[row]:.1f}"
        for row in _kept(score)
    )
    middle = (TOP + BOTTOM) / 2
    parts.append(f'<line class="limit" x1="{LEFT}" x2="{RIGHT}" y1="{middle}" y2="{middle}"/>')
    parts.append(f'<polyline class="score" points="{points}"/>')
    parts.append(f'<text x="8" y="{TOP + 4}">1</text><text x="8" y="{middle + 4}">0.5</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">{first:.2f} h</text>')
    parts.append(f'<text x="{RIGHT - 50}" y="{HEIGHT - 6}">{last:.2f} h</text></svg>')
    return "".join(parts)


def _kept(score: FloatArray) -> list[int]:
    """Rows drawn: of each stretch the lowest and the highest, so that no peak is lost."""
    if score.size <= MAX_POINTS:
        return list(range(score.size))
    rows: set[int] = set()
    for part in np.array_split(np.arange(score.size), MAX_POINTS // 2):
        rows |= {int(part[score[part].argmin()]), int(part[score[part].argmax()])}
    return sorted(rows)


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
