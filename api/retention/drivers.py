"""The reasons behind one customer's risk: each with its share, its sentence and its evidence.

Standstill, past and expected, is told machine by machine, because a person can do something
about ``conveyor-01`` and nothing about an average.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from analytics.arrays import IntArray
from analytics.retention.churn import FeatureSpec
from api.evidence.edges import Step
from api.registry.models import HealthSnapshot
from api.retention.features import FeatureColumn

NEGLIGIBLE_LOG_ODDS: Final = 1e-12
"""Rounding; a feature at its reference is no driver."""

EXPECTED: Final = "expected_downtime_h_per_machine_30d"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of one machine in the next 30 days, and where that comes from.

    Parameters
    ----------
    snapshot : HealthSnapshot
        Newest judgement on the machine.
    kind : str
        Kind of machine.
    failure_probability : float
        Of failing within 30 days.
    downtime_h : float
        Unplanned standstill expected. [h]
    alarm_keys : tuple of str
        Its open alarms.
    proposal_id : int or None
        Its open proposal.
    """

    snapshot: HealthSnapshot
    kind: str
    failure_probability: float
    downtime_h: float
    alarm_keys: tuple[str, ...]
    proposal_id: int | None


@dataclass(frozen=True, slots=True)
class Reason:
    """One driver before it has a number and money.

    Parameters
    ----------
    feature : str
        Name in the churn model.
    machine_key : str or None
        Set where it is one machine's.
    value : float
        The feature, or the machine's part of it, in `unit`.
    unit : str
        Unit of `value`.
    log_odds : float
        Its part of the monthly log-odds.
    probability_points : float
        Its part of the churn probability.
    words : str
        It as a sentence, in English.
    parameters : dict
        Numbers and names in the sentence.
    steps : list of Step
        What it came from.
    """

    feature: str
    machine_key: str | None
    value: float
    unit: str
    log_odds: float
    probability_points: float
    words: str
    parameters: dict[str, str | float]
    steps: list[Step] = field(default_factory=list)


def reasons_of(
    customer: int,
    spec: FeatureSpec,
    column: FeatureColumn,
    share: tuple[float, float],
    machines: tuple[str, ...],
    machine_customer: IntArray,
    expected: Mapping[str, Expectation],
) -> list[Reason]:
    """Tell one feature of one customer as drivers.

    Parameters
    ----------
    customer : int
        Position of the customer.
    spec : FeatureSpec
        The feature.
    column : FeatureColumn
        Its values and facts.
    share : tuple of float
        Its log-odds and probability points for this customer.
    machines : tuple of str
        Keys of all machines.
    machine_customer : ndarray of int, shape (n_machines,)
        Customer of each, -1 for none.
    expected : mapping of str to Expectation
        By machine key.

    Returns
    -------
    list of Reason
        One for each machine if the feature is a sum over machines, else one; none if the feature
        is at its reference.
    """
    log_odds, points = share
    if abs(log_odds) <= NEGLIGIBLE_LOG_ODDS:
        return []
    if column.by_machine is None:
        return [_whole(customer, spec, column, log_odds, points)]
    own = [row for row, of in enumerate(machine_customer) if of == customer]
    total = sum(float(column.by_machine[row]) for row in own)
    return [
        _one_machine(
            customer,
            spec,
            column,
            (row, machines[row]),
            float(column.by_machine[row]),
            (log_odds * column.by_machine[row] / total, points * column.by_machine[row] / total),
            expected.get(machines[row]),
        )
        for row in own
        if column.by_machine[row] > 0.0
    ]


def _whole(
    customer: int, spec: FeatureSpec, column: FeatureColumn, log_odds: float, points: float
) -> Reason:
    value = float(column.value[customer])
    return Reason(
        spec.name,
        None,
        value,
        spec.unit,
        log_odds,
        points,
        spec.words(value),
        {"value": value},
        _facts(column, spec, customer, None),
    )


def _one_machine(
    customer: int,
    spec: FeatureSpec,
    column: FeatureColumn,
    machine: tuple[int, str],
    hours: float,
    share: tuple[float, float],
    expectation: Expectation | None,
) -> Reason:
    row, key = machine
    parameters: dict[str, str | float] = {"machine": key, "value": hours}
    if spec.name == EXPECTED and expectation is not None:
        parameters["kind"] = expectation.kind
        parameters["failure_probability"] = expectation.failure_probability
        words = (
            f"{key} ({expectation.kind}) is {expectation.failure_probability:.0%} likely to fail "
            f"within 30 days: {hours:.1f} h standstill expected"
        )
        steps = _expected_steps(spec, expectation)
    else:
        words = f"{key} stood still for {hours:.1f} h in the last 90 days"
        steps = _facts(column, spec, customer, row)
    return Reason(spec.name, key, hours, "h", *share, words, parameters, steps)


def _expected_steps(spec: FeatureSpec, expectation: Expectation) -> list[Step]:
    snapshot = expectation.snapshot
    steps = [
        Step(
            "health",
            str(snapshot.id),
            "health that the expectation comes from",
            expectation.failure_probability,
            "probability",
            spec.definition_en,
        )
    ]
    steps += [
        Step("alarm", key, "open alarm of the machine", None, None, "found by the health model")
        for key in expectation.alarm_keys
    ]
    if expectation.proposal_id is not None:
        what = "proposal to visit before it fails"
        proposal_id = str(expectation.proposal_id)
        steps.append(Step("proposal", proposal_id, what, None, None, "made from the same health"))
    return steps


def _facts(
    column: FeatureColumn, spec: FeatureSpec, customer: int, machine: int | None
) -> list[Step]:
    if column.facts is None:
        return []
    return [
        Step(
            column.facts.kind,
            key,
            f"counted in {spec.name}",
            value,
            column.facts.unit,
            spec.definition_en,
        )
        for key, value in column.facts.of(customer, machine)
    ]
