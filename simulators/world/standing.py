"""What the office knows of customers, their sites, contracts, machines and bills."""

import math
from collections.abc import Iterator
from datetime import date

from simulators.world.history import machines_of
from simulators.world.law import HOURS_PER_DAY
from simulators.world.rows import Cell, Row
from simulators.world.state import CustomerState, MachineState, Term, World


def written_terms(world: World, customer: CustomerState) -> list[Term]:
    """Find the contracts that were signed before the end of history and before leaving.

    Parameters
    ----------
    world : World
        A world that has been played.
    customer : CustomerState
        The customer.

    Returns
    -------
    list of Term
        Oldest first; each begins the day the one before it ends.
    """
    terms = [customer.terms[0]]
    for before, term in zip(customer.terms, customer.terms[1:], strict=False):
        is_known = term.signed_h + term.signing_delay_h <= world.calendar.history_h
        if customer.left_h > before.ends_h and is_known:
            terms.append(term)
        else:
            break
    return terms


def _founding_h(customer: CustomerState) -> float:
    return customer.terms[0].signed_h


def customers(world: World) -> Iterator[Row]:
    """Tell who the customers are.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    for one in world.customers:
        at_h, company = _founding_h(one) - 120.0, one.company
        cells = (one.key, company.name, company.segment, company.region.name)
        yield Row(at_h, at_h + 20.0, cells)


def _site_key(customer: CustomerState) -> str:
    return f"site-{customer.number + 1:02d}"


def sites(world: World) -> Iterator[Row]:
    """Tell where they are.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    for one in world.customers:
        at_h, company, town = _founding_h(one) - 96.0, one.company, one.company.town
        name = f"{company.name}, {town.name}"
        place = (company.time_zone, town.latitude_deg, town.longitude_deg)
        yield Row(at_h, at_h + 4.0, (_site_key(one), one.key, name, *place))


def contracts(world: World) -> Iterator[Row]:
    """Tell what was signed, and how each year ended.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    for customer in world.customers:
        terms = written_terms(world, customer)
        for term in terms:
            signed_known_h = term.signed_h + term.signing_delay_h
            yield Row(
                term.signed_h, signed_known_h, _contract(customer, term, term.ends_on, None, None)
            )
            if term.starts_h < customer.left_h <= term.ends_h:
                left_on = world.calendar.day(customer.left_h)
                cells = _contract(customer, term, left_on, "churned", left_on)
                known_h = customer.left_h + term.signing_delay_h
                yield Row(customer.left_h, max(known_h, signed_known_h + 1.0), cells)
            elif term is not terms[-1]:
                # The renewal and the next year's contract are one signature.
                after = terms[terms.index(term) + 1]
                decided_on = world.calendar.day(term.decided_h)
                cells = _contract(customer, term, term.ends_on, "renewed", decided_on)
                yield Row(term.decided_h, term.decided_h + after.signing_delay_h, cells)


def _contract(
    customer: CustomerState, term: Term, ends_on: date, outcome: str | None, at: date | None
) -> tuple[Cell, ...]:
    return (
        term.key,
        customer.key,
        term.starts_on,
        ends_on,
        customer.auto_renew,
        customer.notice_days,
        term.value_eur_per_year,
        "EUR",
        customer.pricing_model,
        customer.uptime_guarantee_ratio,
        customer.vendor_share_ratio,
        customer.response_target_h,
        outcome,
        at,
        customer.leaving_reason if outcome == "churned" else None,
    )


def machines(world: World) -> Iterator[Row]:
    """Tell what machines there are, once more for each contract they come under.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    for customer, machine in machines_of(world):
        for number, term in enumerate(written_terms(world, customer)):
            at_h = term.starts_h if number else _founding_h(customer) + 1.0
            if number and at_h >= customer.left_h:
                continue
            known_h = max(at_h, term.signed_h + term.signing_delay_h) + 2.0
            yield Row(at_h, known_h, _machine(customer, machine, term))


def _machine(customer: CustomerState, machine: MachineState, term: Term) -> tuple[Cell, ...]:
    return (
        machine.key,
        _site_key(customer),
        term.key,
        machine.law.kind,
        machine.law.model,
        machine.installed_on,
        machine.downtime_cost_eur_per_h,
        machine.planned_visit_cost_eur,
        machine.planned_visit_h,
        machine.repair_cost_eur,
        machine.repair_h,
    )


def technicians(world: World) -> Iterator[Row]:
    """Tell who can be sent.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    at_h = -500.0 * HOURS_PER_DAY
    for one in world.technicians:
        home = (one.person.home.latitude_deg, one.person.home.longitude_deg)
        cells = (one.key, one.person.name, *home, ";".join(one.person.skills))
        yield Row(at_h, at_h + 1.0, cells)


def payments(world: World) -> Iterator[Row]:
    """Tell what was billed and what was paid.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.TABLES`.
    """
    day = world.calendar.day
    for customer in world.customers:
        contract_keys = {term.key for term in written_terms(world, customer)}
        for one in customer.invoices:
            if one.issued_h >= customer.left_h or one.contract_key not in contract_keys:
                continue
            cells = (one.key, one.contract_key, day(one.due_h))
            money = (one.amount_eur, "EUR")
            yield Row(one.issued_h, one.issued_h + 1.0, (*cells, None, *money))
            if one.paid_h <= customer.left_h and not math.isinf(one.paid_h):
                paid_known_h = one.paid_h + one.paid_delay_h
                yield Row(one.paid_h, paid_known_h, (*cells, day(one.paid_h), *money))
