"""What account teams ask: which customers are at risk, why, and how well we serve them."""

from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import AppContext
from api.evidence.edges import evidence_url
from api.history import HOURS_PER_DAY, Known
from api.problem import NotFoundError
from api.registry.catalogue import (
    ContractFacts,
    CustomerFacts,
    MachineFacts,
    customer_facts,
    machine_facts,
)
from api.registry.database import read_session
from api.registry.models import RiskSnapshot
from api.retention.drivers import Expectation
from api.retention.features import QUARTER_H, unplanned_downtime_h
from api.retention.measures import downtime_exposure, exposure, first_time_fix
from api.retention.risks import BASELINE, Terms, expectations, terms_of
from api.retention.schemas import (
    ContractReading,
    CustomerDetail,
    CustomerMachine,
    CustomerSummary,
    DowntimeExposure,
    Driver,
    FirstTimeFix,
    RiskDetail,
    RiskSummary,
)
from api.retention.timeline import timeline
from api.shapes import Money
from api.snapshots import latest_health, latest_risks

RISK_DEFINITION: Final = (
    "Probability of leaving within the horizon, which reaches to the renewal date and at least 90 "
    "days ahead unless set otherwise: 1 - (1 - h)^months, with the monthly hazard h of a logistic "
    "model that starts from expert weights and learns from past months. Money at risk "
    "is that probability times the recurring value. The interval is the central 80 %."
)


class RetentionService:
    """Answers about customers.

    Parameters
    ----------
    context : AppContext
        Stores of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def customers(self, *, include_left: bool = False) -> list[CustomerSummary]:
        """Every customer with its risk.

        Parameters
        ----------
        include_left : bool
            Whether to list those without a running contract too.

        Returns
        -------
        list of CustomerSummary
            Most money at risk first; those without a risk last.
        """
        now = self._context.now()
        facts = self._context.history.current().at(now)
        downtime_h = _by_customer(facts, unplanned_downtime_h(facts, QUARTER_H).tolist())
        with read_session(self._context.engine) as reading:
            customers = customer_facts(reading, now)
            risks = latest_risks(reading)
        summaries = [
            CustomerSummary(**_summary(customer, risks.get(key), downtime_h.get(key, 0.0), now))
            for key, customer in customers.items()
        ]
        return sorted(
            (one for one in summaries if one.is_active or include_left),
            key=lambda one: (
                -1.0 if one.risk is None else -one.risk.money_at_risk_per_year.amount - 1.0,
                one.key,
            ),
        )

    def customer(self, key: str) -> CustomerDetail:
        """One customer in full.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        CustomerDetail
            With risk, machines, measures and the last half year.

        Raises
        ------
        NotFoundError
            If there is no such customer.
        """
        now = self._context.now()
        facts = self._context.history.current().at(now)
        hours = dict(
            zip(facts.machines, unplanned_downtime_h(facts, QUARTER_H).tolist(), strict=True)
        )
        with read_session(self._context.engine) as reading:
            customer = _find(customer_facts(reading, now), key)
            risk = latest_risks(reading).get(key)
            named = machine_facts(reading, now)
            machines = _machines(reading, customer, named, hours, now)
            entries = timeline(reading, customer, now)
        running = customer.running_contracts(now.date())
        summary = _summary(customer, risk, sum(one.downtime_h_90d for one in machines), now)
        exposures = exposure(facts, named, QUARTER_H, {key})
        return CustomerDetail(
            **summary,
            risk_detail=None if risk is None else _detail(risk),
            contract=_contract(running[0]) if running else None,
            machines=machines,
            exposure_90d=exposures[0] if exposures else None,
            first_time_fix=first_time_fix(
                facts, key, 365.0, self._context.settings.retention.repeat_window_days
            ),
            timeline=entries,
        )

    def risk(self, customer_key: str, risk_id: int | None = None) -> RiskDetail:
        """One risk with all its drivers.

        Parameters
        ----------
        customer_key : str
            Whose.
        risk_id : int, optional
            Which; the newest unless told.

        Returns
        -------
        RiskDetail
            As it was judged.

        Raises
        ------
        NotFoundError
            If the customer has no such risk.
        """
        with read_session(self._context.engine) as reading:
            statement = select(RiskSnapshot).where(RiskSnapshot.customer_key == customer_key)
            if risk_id is not None:
                statement = statement.where(RiskSnapshot.id == risk_id)
            risk = reading.scalar(statement.order_by(RiskSnapshot.id.desc()).limit(1))
        if risk is None:
            which = "no risk yet" if risk_id is None else f"no risk {risk_id}"
            msg = (
                f"customer {customer_key!r} has {which}; it is judged within seconds once it has a "
                "running contract in the registry"
            )
            raise NotFoundError(msg)
        return _detail(risk)

    def first_time_fix(
        self, customer_key: str | None = None, window_days: float = 365.0
    ) -> FirstTimeFix:
        """How often one visit was enough.

        Parameters
        ----------
        customer_key : str, optional
            Only visits to this customer.
        window_days : float
            Visits of this long back are counted. [days]

        Returns
        -------
        FirstTimeFix
            With its definition, interval and what is too recent to say.

        Raises
        ------
        NotFoundError
            If there is no such customer.
        """
        facts = self._context.history.current().at(self._context.now())
        if customer_key is not None and customer_key not in facts.customers:
            raise NotFoundError(_no_customer(customer_key))
        repeat_days = self._context.settings.retention.repeat_window_days
        return first_time_fix(facts, customer_key, window_days, repeat_days)

    def downtime_exposure(self, window_days: float = 90.0) -> DowntimeExposure:
        """Unplanned standstill in hours and money.

        Parameters
        ----------
        window_days : float
            How far back. [days]

        Returns
        -------
        DowntimeExposure
            In total and by customer.
        """
        now = self._context.now()
        facts = self._context.history.current().at(now)
        with read_session(self._context.engine) as reading:
            machines = machine_facts(reading, now)
        return downtime_exposure(facts, machines, window_days * HOURS_PER_DAY)


def _find(customers: dict[str, CustomerFacts], key: str) -> CustomerFacts:
    if key not in customers:
        raise NotFoundError(_no_customer(key))
    return customers[key]


def _no_customer(key: str) -> str:
    return f"there is no customer {key!r}; /v1/customers lists them"


def _summary(
    customer: CustomerFacts, risk: RiskSnapshot | None, downtime_h: float, now: datetime
) -> dict[str, Any]:
    terms = terms_of(customer, now.date())
    left = [contract.outcome_on for contract in customer.contracts if contract.outcome_on]
    return {
        "key": customer.key,
        "name": customer.name,
        "segment": customer.segment,
        "region": customer.region,
        "is_active": terms is not None,
        "left_on": max(left) if terms is None and left else None,
        "n_machines": len(customer.machine_keys),
        "renewal_on": None if terms is None else terms.renewal_on,
        "days_to_renewal": None if terms is None else (terms.renewal_on - now.date()).days,
        "recurring_value_per_year": None if terms is None else _value(terms),
        "downtime_h_90d": downtime_h,
        "risk": None if risk is None or terms is None else RiskSummary(**_risk(risk)),
        "note": _note(customer, risk, terms, now.date()),
    }


def _note(
    customer: CustomerFacts, risk: RiskSnapshot | None, terms: Terms | None, today: date
) -> str | None:
    if terms is None and not customer.contracts:
        return "no contract is recorded; import contracts.csv to see what is at stake"
    if terms is None:
        ended = max(contract.ends_on for contract in customer.contracts)
        return f"no contract runs today; the last one ends or ended on {ended}"
    if risk is None:
        return "not judged yet; the next round of the worker does it"
    currencies = {contract.currency for contract in customer.running_contracts(today)}
    if len(currencies) > 1:
        others = ", ".join(sorted(currencies - {terms.currency}))
        return f"only contracts in {terms.currency} are counted; others are in {others}"
    return None


def _value(terms: Terms) -> Money:
    return Money(amount=terms.recurring_value_per_year, currency=terms.currency)


def _risk(risk: RiskSnapshot) -> dict[str, Any]:
    value = risk.recurring_value_per_year
    drivers = [Driver(**one) for one in risk.drivers if one["feature"] != BASELINE]
    raising = [driver for driver in drivers if driver.money_per_year > 0.0]
    return {
        "id": risk.id,
        "evidence_url": evidence_url("risk", risk.id),
        "as_of": risk.as_of,
        "computed_at": risk.computed_at,
        "horizon_days": risk.horizon_days,
        "churn_probability": risk.churn_probability,
        "lower": risk.lower,
        "upper": risk.upper,
        "money_at_risk_per_year": Money(amount=risk.money_at_risk_per_year, currency=risk.currency),
        "money_at_risk_lower": round(risk.lower * value, 2),
        "money_at_risk_upper": round(risk.upper * value, 2),
        "top_driver": raising[0] if raising else None,
    }


def _detail(risk: RiskSnapshot) -> RiskDetail:
    baseline = [one for one in risk.drivers if one["feature"] == BASELINE]
    return RiskDetail(
        **_risk(risk),
        customer_key=risk.customer_key,
        renewal_on=risk.renewal_on,
        recurring_value_per_year=Money(
            amount=risk.recurring_value_per_year, currency=risk.currency
        ),
        baseline_probability=sum(one["probability_points"] for one in baseline),
        baseline_log_odds=sum(one["log_odds"] for one in baseline),
        baseline_money_per_year=sum(one["money_per_year"] for one in baseline),
        drivers=[Driver(**one) for one in risk.drivers if one["feature"] != BASELINE],
        model_version=risk.model_version,
        definition=RISK_DEFINITION,
    )


def _machines(
    reading: Session,
    customer: CustomerFacts,
    facts: dict[str, MachineFacts],
    downtime_h: dict[str, float],
    now: datetime,
) -> list[CustomerMachine]:
    health, expected = latest_health(reading), expectations(reading, facts, now)
    machines = []
    for key in customer.machine_keys:
        if key not in facts:
            continue
        snapshot, expectation = health.get(key), expected.get(key)
        machines.append(
            CustomerMachine(
                key=key,
                kind=facts[key].kind,
                site_key=facts[key].site_key,
                site_name=facts[key].site_name,
                health_snapshot_id=None if snapshot is None else snapshot.id,
                health_pct=None if snapshot is None else snapshot.health_pct,
                remaining_useful_life_h=None
                if snapshot is None
                else snapshot.remaining_useful_life_h,
                lower_h=None if snapshot is None else snapshot.lower_h,
                upper_h=None if snapshot is None else snapshot.upper_h,
                **_expected(expectation),
                downtime_h_90d=downtime_h.get(key, 0.0),
            )
        )
    return machines


def _expected(expectation: Expectation | None) -> dict[str, Any]:
    return {
        "failure_probability_30d": None if expectation is None else expectation.failure_probability,
        "expected_downtime_h_30d": None if expectation is None else expectation.downtime_h,
        "has_open_alarm": expectation is not None and bool(expectation.alarm_keys),
    }


def _contract(contract: ContractFacts) -> ContractReading:
    return ContractReading(
        key=contract.key,
        starts_on=contract.starts_on,
        ends_on=contract.ends_on,
        auto_renew=contract.auto_renew,
        notice_days=contract.notice_days,
        recurring_value_per_year=Money(
            amount=contract.recurring_value_per_year, currency=contract.currency
        ),
        uptime_guarantee_ratio=contract.uptime_guarantee_ratio,
        downtime_vendor_share_ratio=contract.downtime_vendor_share_ratio,
        response_target_h=contract.response_target_h,
        outcome=contract.outcome,
    )


def _by_customer(facts: Known, hours: list[float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for customer, machine_h in zip(facts.machine_customer.tolist(), hours, strict=True):
        if customer >= 0:
            key = facts.customers[customer]
            total[key] = total.get(key, 0.0) + machine_h
    return total
