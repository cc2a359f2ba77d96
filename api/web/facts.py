"""Says recorded facts as sentences: visits, standstills, tickets, invoices, and their fields."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from markupsafe import Markup, escape

from analytics.retention.churn_features import CHURN_FEATURES
from api.evidence.schemas import EvidenceNode
from api.web.catalogue import N_
from api.web.language import NOTHING, Speech
from api.web.terms import FIELDS, WORDS
from api.web.words import EXPECTED, feature_words, signal_name, unit_text

Fact = str | float | bool | None

_PATTERNS: Final = (
    N_("similarity of fused damage to lives that ran to failure, by health model {version}"),
    N_("anomaly score {score} by health model {version}"),
)
"""Methods with a place for something: they are recognised, then said with what stood there."""

_RATIOS: Final = frozenset({
    "failure_probability",
    "churn_probability",
    "lower",
    "upper",
    "probability_points",
})
_HIDDEN: Final = frozenset({
    "valid_at",
    "customer_name",
    "id",
    "evidence_url",
    "n_evidence",
    "health_snapshot_id",
    "feature",
    "reason",
})
_SPECS: Final = {spec.name: spec for spec in CHURN_FEATURES}


def word(speech: Speech, value: Fact) -> Markup:
    """Say a code of the registry.

    Parameters
    ----------
    speech : Speech
        The language.
    value : str or None
        Such as ``seal-leak``.

    Returns
    -------
    Markup
        Its word; the code itself if it is not ours.
    """
    if value is None:
        return escape(NOTHING)
    return speech.say(WORDS[value]) if isinstance(value, str) and value in WORDS else escape(value)


def fact_sentence(speech: Speech, kind: str, facts: Mapping[str, Fact]) -> Markup | None:
    """Say a recorded fact in a sentence.

    Parameters
    ----------
    speech : Speech
        The language.
    kind : str
        What it is.
    facts : mapping
        Its fields.

    Returns
    -------
    Markup or None
        None for kinds that have no sentence here.
    """
    machine = facts.get("machine_key")
    match kind:
        case "visit" if facts.get("is_resolved"):
            return speech.say("Visit: fixed")
        case "visit":
            reason = word(speech, facts.get("incomplete_reason"))
            return speech.say("Visit: not fixed, {reason}", reason=reason)
        case "work_order":
            job, fault = word(speech, facts.get("kind")), facts.get("fault_code")
            if fault is None:
                return speech.say("Work order on {machine}: {job}", machine=machine, job=job)
            return speech.say(
                "Work order on {machine}: {job}, fault {fault}",
                machine=machine,
                job=job,
                fault=word(speech, fault),
            )
        case "downtime":
            return _standstill(speech, facts)
        case "ticket":
            return word(speech, facts.get("kind"))
        case "payment":
            return _invoice(speech, facts)
        case "usage":
            return speech.say(
                "{machine} ran {hours} h in the month",
                machine=machine,
                hours=speech.number(_float(facts.get("run_h"))),
            )
        case "alarm":
            return speech.say(
                "{signal} of {machine} left its healthy band",
                signal=signal_name(speech, str(facts.get("signal"))),
                machine=machine,
            )
        case _:
            return _computed_sentence(speech, kind, facts)


def _computed_sentence(speech: Speech, kind: str, facts: Mapping[str, Fact]) -> Markup | None:
    match kind:
        case "risk":
            return speech.say(
                "{customer} is {probability} likely to leave: {money} a year at risk",
                money=speech.money(
                    _float(facts.get("money_at_risk_per_year")), str(facts.get("currency"))
                ),
                customer=facts.get("customer_name") or facts.get("customer_key"),
                probability=speech.chance(_float(facts.get("churn_probability"))),
            )
        case "driver":
            return _driver(speech, facts)
        case "proposal":
            return speech.say(
                "Visit {machine} by {date}",
                machine=facts.get("machine_key"),
                date=_moment(speech, facts.get("visit_by")),
            )
        case "health":
            health = _float(facts.get("health_pct"))
            machine = facts.get("machine_key")
            if health is None:
                return speech.say("Health of {machine} is not known", machine=machine)
            return speech.say(
                "Health of {machine}: {health}%", machine=machine, health=speech.number(health)
            )
        case "contract":
            return speech.say(
                "{money} a year until {date}",
                money=speech.money(
                    _float(facts.get("recurring_value_per_year")), str(facts.get("currency"))
                ),
                date=_moment(speech, facts.get("ends_on")),
            )
        case _:
            return None


def node_title(speech: Speech, node: EvidenceNode) -> Markup:
    """Say what a step of evidence is.

    Parameters
    ----------
    speech : Speech
        The language.
    node : EvidenceNode
        The step.

    Returns
    -------
    Markup
        A sentence without a full stop.
    """
    if node.is_missing:
        return speech.say("Nothing is recorded under this name any more")
    if node.samples is not None:
        return speech.say(
            "{n} samples of {machine}",
            n=speech.number(node.samples.n_samples),
            machine=node.samples.machine_key,
        )
    return fact_sentence(speech, node.kind, node.facts) or escape(node.title)


def method_words(speech: Speech, method: str) -> Markup:
    """Say how a number came from another.

    Parameters
    ----------
    speech : Speech
        The language.
    method : str
        As recorded, in English.

    Returns
    -------
    Markup
        Translated where the method is one of ours.
    """
    for pattern in _PATTERNS:
        parts = re.split(r"\{(\w+)\}", pattern)
        names, regex = parts[1::2], "(.+)".join(map(re.escape, parts[::2]))
        found = re.fullmatch(regex, method)
        if found:
            return speech.say(pattern, **dict(zip(names, found.groups(), strict=True)))
    return speech.quote(method)


def field_rows(speech: Speech, facts: Mapping[str, Fact]) -> list[tuple[Markup, Markup]]:
    """Say the fields of a fact, those that tell a person something.

    Parameters
    ----------
    speech : Speech
        The language.
    facts : mapping
        By column name.

    Returns
    -------
    list of (Markup, Markup)
        Name and value of each.
    """
    return [
        (
            speech.say(FIELDS[name]) if name in FIELDS else escape(name.replace("_", " ")),
            _field(speech, name, value),
        )
        for name, value in facts.items()
        if name not in _HIDDEN and value is not None
    ]


def _field(speech: Speech, name: str, value: Fact) -> Markup:
    if isinstance(value, bool):
        return speech.say("yes") if value else speech.say("no")
    if isinstance(value, float):
        if name in _RATIOS:
            return escape(speech.percent(value, 1))
        whole = value == round(value) or abs(value) >= 1000
        return escape(speech.number(value, 0 if whole else 2))
    if name.endswith(("_at", "_on", "_from", "_to", "_by", "as_of")):
        return escape(_moment(speech, value))
    return signal_name(speech, str(value)) if name == "signal" else word(speech, value)


def value_text(speech: Speech, value: float | None, unit: str | None) -> Markup | None:
    """Write the value of a step with its unit.

    Parameters
    ----------
    speech : Speech
        The language.
    value : float or None
        The value.
    unit : str or None
        Its unit; currencies and ratios are written as people do.

    Returns
    -------
    Markup or None
        None where there is no value.
    """
    if value is None:
        return None
    if unit == "probability":
        return speech.say("probability {value}", value=speech.chance(value))
    if unit == "ratio":
        return escape(speech.percent(value, 1))
    head, _, per = (unit or "").partition("/")
    if len(head) == 3 and head.isupper():
        money = speech.money(value, head, signed=True)
        return speech.say("{money} a year", money=money) if per else escape(money)
    digits = 0 if value == round(value) else 1 if abs(value) >= 10 else 2
    named = {"h": N_("h"), "days": N_("days")}
    if unit in named:
        name = speech.say(named[unit])
    else:
        name = escape("" if unit == "count" else unit_text(unit))
    return Markup("{} {}").format(speech.number(value, digits), name)


def _standstill(speech: Speech, facts: Mapping[str, Fact]) -> Markup:
    begun, ended = _parse(facts.get("started_at")), _parse(facts.get("ended_at"))
    values = {"machine": facts.get("machine_key"), "cause": word(speech, facts.get("cause"))}
    if begun is None or ended is None:
        return speech.say("{machine} stands still: {cause}", **values)
    hours = speech.number((ended - begun).total_seconds() / 3600, 1)
    if facts.get("is_planned"):
        return speech.say("{machine} stood still {hours} h as planned", hours=hours, **values)
    return speech.say("{machine} stood still {hours} h: {cause}", hours=hours, **values)


def _invoice(speech: Speech, facts: Mapping[str, Fact]) -> Markup:
    money = speech.money(_float(facts.get("amount")), str(facts.get("currency")))
    due, paid = _parse(facts.get("due_on")), _parse(facts.get("paid_on"))
    values = {"money": money, "due": _moment(speech, facts.get("due_on"))}
    if due is None or paid is None:
        return speech.say("Invoice of {money} due {due}: not paid", **values)
    days = (paid - due).days
    if days <= 0:
        return speech.say("Invoice of {money} due {due}: paid in time", **values)
    return speech.say_n(
        "Invoice of {money} due {due}: paid {n} day late",
        "Invoice of {money} due {due}: paid {n} days late",
        days,
        **values,
    )


def _driver(speech: Speech, facts: Mapping[str, Fact]) -> Markup | None:
    value, machine = _float(facts.get("value")), facts.get("machine_key")
    if value is None:
        return None
    if machine is None:
        spec = _SPECS.get(str(facts.get("feature")))
        return None if spec is None else feature_words(speech, spec, value)
    said = {"machine": machine, "hours": speech.number(value, 1)}
    probability = _float(facts.get("failure_probability"))
    if facts.get("feature") == EXPECTED and probability is not None:
        chance = speech.chance(probability)
        return speech.say(
            "{machine} is {probability} likely to fail within 30 days: "
            "{hours} h of standstill expected",
            probability=chance,
            **said,
        )
    if facts.get("feature") == EXPECTED:
        return speech.say("{hours} h of standstill of {machine} expected within 30 days", **said)
    return speech.say("{machine} stood still for {hours} h in the last 90 days", **said)


def _parse(value: Fact) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _moment(speech: Speech, value: Fact) -> str:
    moment = _parse(value)
    if moment is None:
        return NOTHING
    return (
        speech.full_date(moment) if len(str(value)) == len("2026-01-31") else speech.moment(moment)
    )


def _float(value: Fact) -> float | None:
    return value if isinstance(value, float) else None
