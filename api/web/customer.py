"""Customers by money at risk; one customer's risk, why it is so, and what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.health.schemas import MachineState
from api.retention.schemas import CustomerDetail, CustomerSummary, Driver, RiskDetail
from api.web.drawings import Bar, interval, waterfall
from api.web.facts import Fact
from api.web.language import Speech
from api.web.rendering import render

SMALL_DRIVER_RATIO = 0.005
"""Drivers below this part of the money at risk are told together."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the waterfall.

    Parameters
    ----------
    kind : str
        ``base``, ``driver``, ``rest`` or ``total``.
    driver : Driver or None
        Set for drivers.
    amount : float
        Money a year.
    bar : Bar
        Its drawing.
    n : int
        How many drivers it stands for.
    """

    kind: str
    driver: Driver | None
    amount: float
    bar: Bar
    n: int = 1


def waterfall_steps(risk: RiskDetail) -> list[Step]:
    """Lay out how the money at risk adds up.

    Parameters
    ----------
    risk : RiskDetail
        The risk with its drivers.

    Returns
    -------
    list of Step
        Baseline, drivers by size, what is left, total.
    """
    total = risk.money_at_risk_per_year.amount
    least = SMALL_DRIVER_RATIO * max(abs(total), 1.0)
    drivers = sorted(risk.drivers, key=lambda driver: -abs(driver.money_per_year))
    large = [driver for driver in drivers if abs(driver.money_per_year) >= least]
    n_small = len(drivers) - len(large)
    base = risk.baseline_money_per_year
    rest = total - base - sum(driver.money_per_year for driver in large)
    rows: list[tuple[str, Driver | None, float, int]] = [("base", None, base, 1)]
    rows += [("driver", driver, driver.money_per_year, 1) for driver in large]
    if n_small:
        rows.append(("rest", None, rest, n_small))
    rows.append(("total", None, total, 1))
    bars = waterfall([
        (
            amount,
            "base"
            if kind == "base"
            else "total"
            if kind == "total"
            else "raise"
            if amount >= 0
            else "lower",
        )
        for kind, _, amount, _ in rows
    ])
    return [
        Step(kind, driver, amount, bar, n)
        for (kind, driver, amount, n), bar in zip(rows, bars, strict=True)
    ]


def customers_page(speech: Speech, path: str, customers: Sequence[CustomerSummary]) -> str:
    """Render the portfolio.

    Parameters
    ----------
    speech : Speech
        The language.
    path : str
        Where the page is.
    customers : sequence of CustomerSummary
        By money at risk.

    Returns
    -------
    str
        HTML.
    """
    risks = [customer.risk for customer in customers if customer.risk is not None]
    highest = max((risk.money_at_risk_upper for risk in risks), default=1.0)
    totals: dict[str, float] = {}
    for risk in risks:
        money = risk.money_at_risk_per_year
        totals[money.currency] = totals.get(money.currency, 0.0) + money.amount
    return render(
        "customers.html",
        speech,
        path,
        here="customers",
        customers=customers,
        highest=highest,
        totals=totals,
        n_soon=sum(
            1 for c in customers if c.days_to_renewal is not None and c.days_to_renewal <= 90
        ),
    )


def customer_page(
    speech: Speech,
    path: str,
    customer: CustomerDetail,
    timeline_facts: Mapping[tuple[str, str], Mapping[str, Fact]],
    states: Mapping[str, MachineState],
) -> str:
    """Render one customer.

    Parameters
    ----------
    speech : Speech
        The language.
    path : str
        Where the page is.
    customer : CustomerDetail
        The customer.
    timeline_facts : mapping
        Fields of the facts in the timeline, by kind and key.
    states : mapping
        State of each machine, the same as on the fleet's page.

    Returns
    -------
    str
        HTML.
    """
    risk = customer.risk_detail
    return render(
        "customer.html",
        speech,
        path,
        here="customers",
        customer=customer,
        risk=risk,
        risk_bar=None
        if risk is None
        else interval(risk.lower, risk.churn_probability, risk.upper, 1.0),
        steps=[] if risk is None else waterfall_steps(risk),
        timeline_facts=timeline_facts,
        states=states,
    )
