"""Says why a visit is proposed, in words and numbers for a person."""

from typing import Final

from api.registry.models import HealthSnapshot
from api.words import plain_name

OUTSTANDING_Z: Final = 3.0
"""Healthy samples lie within three spreads of the usual level, all but 0.3 % of them."""


def reason_sentence(
    snapshot: HealthSnapshot,
    *,
    failure_probability: float,
    horizon_days: int,
    planned_cost: float,
    failure_cost: float,
    currency: str,
) -> str:
    """Say why a machine should be visited.

    Parameters
    ----------
    snapshot : HealthSnapshot
        The health behind it.
    failure_probability : float
        Of failing within the horizon if nobody goes.
    horizon_days : int
        How far ahead visits are considered. [days]
    planned_cost, failure_cost : float
        Of a planned visit and of a failure. [currency]
    currency : str
        Its code.

    Returns
    -------
    str
        A few short sentences.
    """
    sentences = []
    signal, z = snapshot.contributions[0] if snapshot.contributions else ("", 0.0)
    if abs(z) >= OUTSTANDING_Z:
        side = "above" if z > 0 else "below"
        name = plain_name(signal).capitalize()
        sentences.append(f"{name} is {abs(z):.1f} healthy spreads {side} its usual level.")
    else:
        sentences.append("No signal stands out yet; the visit date comes from its age and kind.")
    sentences.append(
        f"{failure_probability:.0%} likely to fail within {horizon_days} days; "
        + life_words(snapshot.remaining_useful_life_h, snapshot.lower_h, snapshot.upper_h)
        + "."
    )
    sentences.append(
        f"A planned visit costs {planned_cost:,.0f} {currency}, "
        f"a failure {failure_cost:,.0f} {currency}."
    )
    return " ".join(sentences)


def life_words(median_h: float | None, lower_h: float | None, upper_h: float | None) -> str:
    """Say how long a machine has left.

    Parameters
    ----------
    median_h, lower_h, upper_h : float or None
        Median and ends of the 80 % interval. [h]

    Returns
    -------
    str
        In hours below two days, else in days.

    Examples
    --------
    >>> life_words(96.0, 48.0, 240.0), life_words(30.0, 8.0, 60.0), life_words(None, None, None)
    ('life left 4 days (2 to 10)', 'life left 30 h (8 to 60)', 'life left not known')
    """
    if median_h is None or lower_h is None or upper_h is None:
        return "life left not known"
    unit, hours = ("h", 1.0) if median_h < 48.0 else ("days", 24.0)
    median, lower, upper = (value / hours for value in (median_h, lower_h, upper_h))
    return f"life left {median:.0f} {unit} ({lower:.0f} to {upper:.0f})"
