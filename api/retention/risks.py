"""Judges every customer: features and expected standstill to risk, drivers, money and evidence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy.orm import Session

from analytics.retention.churn import (
    ChurnModel,
    churn_risk,
    contributions_to_probability,
    split_to_cents,
)
from api.context import AppContext
from api.evidence.edges import Step, add_evidence, evidence_url
from api.history import FactHistory
from api.registry.as_of import known
from api.registry.catalogue import (
    ContractFacts,
    CustomerFacts,
    MachineFacts,
    customer_facts,
    machine_facts,
)
from api.registry.database import read_session, session
from api.registry.models import Alarm, RiskSnapshot
from api.retention.drivers import Expectation, Reason, reasons_of
from api.retention.features import features_at
from api.retention.learning import learn
from api.snapshots import (
    MONTH_H,
    failure_probability,
    latest_health,
    latest_proposals,
    latest_risks,
)

DAYS_PER_MONTH: Final = 365.25 / 12.0

BASELINE: Final = "baseline"
"""Feature name under which a snapshot keeps the part that no driver explains."""

LEAST_CHANGE: Final = 0.001
"""A probability that moved less is not written again: nobody would act on it."""

LONGEST_SILENCE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is at stake with one customer.

    Parameters
    ----------
    renewal_on : date
        Nearest end of a running contract; where its renewal is signed, the end of that.
    recurring_value_per_year : float
        Of all running contracts in `currency`. [currency/year]
    currency : str
        That of the most valuable contract.
    """

    renewal_on: date
    recurring_value_per_year: float
    currency: str


def terms_of(customer: CustomerFacts, on: date) -> Terms | None:
    """Find what is at stake with a customer.

    Parameters
    ----------
    customer : CustomerFacts
        With its contracts.
    on : date
        The day.

    Returns
    -------
    Terms or None
        None without a running contract.
    """
    running = customer.running_contracts(on)
    if not running:
        return None
    currency = max(running, key=lambda contract: contract.recurring_value_per_year).currency
    value = sum(c.recurring_value_per_year for c in running if c.currency == currency)
    return Terms(
        min(_renewal_on(contract, customer.contracts) for contract in running), value, currency
    )


def _renewal_on(contract: ContractFacts, contracts: Sequence[ContractFacts]) -> date:
    """Day on which the customer next decides, past renewals that are signed already."""
    while contract.outcome == "renewed":
        # By first day, so the last one found is the one that follows most closely.
        following = [
            one
            for one in contracts
            if contract.starts_on < one.starts_on <= contract.ends_on < one.ends_on
        ]
        if not following:
            break
        contract = following[-1]
    return contract.ends_on


def expectations(
    reading: Session, machines: Mapping[str, MachineFacts], now: datetime
) -> dict[str, Expectation]:
    """Turn the newest health of machines into standstill to expect.

    Parameters
    ----------
    reading : Session
        Where to read.
    machines : mapping of str to MachineFacts
        How long an unplanned repair of each takes.
    now : datetime
        Later judgements and facts are not seen.

    Returns
    -------
    dict of str to Expectation
        Of each machine whose survival is known.
    """
    proposals = latest_proposals(reading)
    alarms: dict[str, list[str]] = defaultdict(list)
    is_open = known(Alarm, now).where(Alarm.cleared_at.is_(None)).order_by(Alarm.raised_at)
    for alarm in reading.scalars(is_open):
        alarms[alarm.machine_key].append(alarm.key)
    expected = {}
    for key, snapshot in latest_health(reading, now).items():
        probability = failure_probability(snapshot.survival, MONTH_H)
        if key not in machines or probability is None:
            continue
        proposal = proposals.get(key)
        expected[key] = Expectation(
            snapshot,
            machines[key].kind,
            probability,
            probability * machines[key].unplanned_repair_h,
            tuple(alarms[key]),
            proposal.id if proposal is not None and proposal.is_open else None,
        )
    return expected


@dataclass(frozen=True, slots=True)
class _Judgement:
    """One customer's risk, not yet written."""

    risk: RiskSnapshot
    baseline: Reason
    reasons: list[Reason]


class RiskUpdater:
    """Keeps a fitted churn model and judges all customers when asked.

    Parameters
    ----------
    context : AppContext
        Stores and settings of the running server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._model: ChurnModel | None = None
        self._learnt_from: tuple[Any, ...] = ()

    def model(self, now: datetime) -> ChurnModel:
        """Churn model in use; fitted anew after an import and when a month is over.

        Parameters
        ----------
        now : datetime
            The present.

        Returns
        -------
        ChurnModel
            From all months known.
        """
        history = self._context.history.current()
        learnt_from = (now.year, now.month, history.version)
        if self._model is None or learnt_from != self._learnt_from:
            self._model = learn(history, now)
            self._learnt_from = learnt_from
        return self._model

    def update(self, now: datetime) -> int:
        """Judge every customer with a running contract and write down what changed.

        Parameters
        ----------
        now : datetime
            The present; facts recorded later are not used.

        Returns
        -------
        int
            Risks written.
        """
        model, history = self.model(now), self._context.history.current()
        with read_session(self._context.engine) as reading:
            customers = customer_facts(reading, now)
            expected = expectations(reading, machine_facts(reading, now), now)
            latest = latest_risks(reading)
        judgements = self._judge(history, model, customers, expected, now)
        changed = [one for one in judgements if _has_changed(one, latest)]
        if changed:
            with session(self._context.engine) as writing:
                for judgement in changed:
                    _write(writing, judgement)
        for judgement in changed:
            self._publish(judgement.risk)
        return len(changed)

    def _judge(
        self,
        history: FactHistory,
        model: ChurnModel,
        customers: dict[str, CustomerFacts],
        expected: dict[str, Expectation],
        now: datetime,
    ) -> list[_Judgement]:
        facts, today = history.at(now), now.date()
        expected_h = [
            expected[key].downtime_h if key in expected else 0.0 for key in facts.machines
        ]
        features = features_at(facts, np.array(expected_h))
        all_terms = {
            row: terms
            for row, key in enumerate(facts.customers)
            if key in customers and (terms := terms_of(customers[key], today)) is not None
        }
        least_days = self._context.settings.retention.least_horizon_days
        horizon_days = [
            max((terms.renewal_on - today).days, least_days) for terms in all_terms.values()
        ]
        months = np.array(horizon_days, dtype=np.float64) / DAYS_PER_MONTH
        risk = churn_risk(model, features.x[list(all_terms)], n_months=months)
        points = contributions_to_probability(risk)
        judgements = []
        for place, (row, terms) in enumerate(all_terms.items()):
            shares = zip(
                risk.log_odds_contribution[place].tolist(), points[place].tolist(), strict=True
            )
            reasons = [
                reason
                for spec, column, share in zip(
                    model.features, features.columns, shares, strict=True
                )
                for reason in reasons_of(
                    row, spec, column, share, facts.machines, facts.machine_customer, expected
                )
            ]
            snapshot = RiskSnapshot(
                customer_key=facts.customers[row],
                as_of=now,
                computed_at=now,
                horizon_days=horizon_days[place],
                renewal_on=terms.renewal_on,
                churn_probability=float(risk.probability[place]),
                lower=float(risk.lower[place]),
                upper=float(risk.upper[place]),
                recurring_value_per_year=terms.recurring_value_per_year,
                currency=terms.currency,
                # Rounded as `split_to_cents` rounds, which Python's own does not at half a cent.
                money_at_risk_per_year=float(
                    np.round(risk.probability[place] * terms.recurring_value_per_year, 2)
                ),
                drivers=[],
                model_version=model.version,
            )
            baseline = Reason(
                BASELINE, None, 0.0, "", risk.baseline_log_odds, float(risk.baseline[place]), "", {}
            )
            judgements.append(_Judgement(snapshot, baseline, reasons))
        return judgements

    def _publish(self, risk: RiskSnapshot) -> None:
        self._context.hub.publish(
            "risk",
            {
                "customer_key": risk.customer_key,
                "risk_id": risk.id,
                "churn_probability": risk.churn_probability,
                "money_at_risk_per_year": risk.money_at_risk_per_year,
                "currency": risk.currency,
            },
        )


def _has_changed(judgement: _Judgement, latest: dict[str, RiskSnapshot]) -> bool:
    new, old = judgement.risk, latest.get(judgement.risk.customer_key)
    if old is None or new.computed_at - old.computed_at >= LONGEST_SILENCE:
        return True
    named = [(reason.feature, reason.machine_key) for reason in judgement.reasons]
    before = [(driver["feature"], driver["machine_key"]) for driver in old.drivers]
    return (
        new.model_version != old.model_version
        or new.renewal_on != old.renewal_on
        or new.recurring_value_per_year != old.recurring_value_per_year
        or abs(new.churn_probability - old.churn_probability) >= LEAST_CHANGE
        or sorted(map(str, named)) != sorted(str(one) for one in before if one[0] != BASELINE)
    )


def _write(writing: Session, judgement: _Judgement) -> None:
    risk, parts = judgement.risk, [judgement.baseline, *judgement.reasons]
    money = np.array([[part.probability_points for part in parts]]) * risk.recurring_value_per_year
    exact = risk.churn_probability * risk.recurring_value_per_year
    cents = split_to_cents(money, np.array([exact]))[0].tolist()
    # Largest money first; the baseline, which nobody can do anything about, before them all.
    ranked = sorted(zip(judgement.reasons, cents[1:], strict=True), key=lambda pair: -abs(pair[1]))
    writing.add(risk)
    writing.flush()
    risk.drivers = [
        _driver(f"{risk.id}.{number}", reason, amount)
        for number, (reason, amount) in enumerate([(judgement.baseline, cents[0]), *ranked])
    ]
    method = "its share of the log-odds of leaving, put into money"
    for driver, (reason, _) in zip(risk.drivers[1:], ranked, strict=True):
        add_evidence(writing, "driver", driver["id"], reason.steps)
    add_evidence(
        writing,
        "risk",
        str(risk.id),
        [
            Step(
                "driver",
                driver["id"],
                driver["feature"],
                driver["money_per_year"],
                f"{risk.currency}/year",
                method,
            )
            for driver in risk.drivers[1:]
        ],
    )


def _driver(id_: str, reason: Reason, money_per_year: float) -> dict[str, Any]:
    return {
        "id": id_,
        "evidence_url": evidence_url("driver", id_),
        "feature": reason.feature,
        "machine_key": reason.machine_key,
        "value": reason.value,
        "unit": reason.unit,
        "log_odds": reason.log_odds,
        "probability_points": reason.probability_points,
        "money_per_year": money_per_year,
        "words": reason.words,
        "parameters": reason.parameters,
        "n_evidence": len(reason.steps),
    }
