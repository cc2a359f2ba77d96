"""What happens between a customer and its maker beside machines: people, offers, tiers, start-up.

Champions leave and are replaced; competitors make offers; tiers go up and down; customers who join
have milestones to reach, and some are reached late or never. All of it is drawn once for each
customer, from chance of its own, and does not depend on how its machines do.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from simulators.machines import KINDS as MACHINE_KINDS
from simulators.world.law import HOURS_PER_DAY, MONTH_H, FloatArray
from simulators.world.relation import Champion, Milestone, Relation, TierChange
from simulators.world.rows import Row
from simulators.world.state import WORKING_DAY_H, CustomerState, World

_STREAM: Final = 105
_YEAR_H: Final = 12 * MONTH_H
CHAMPION_YEARS: Final = 4.0
"""How long a champion stays on average. [a]"""
VACANT_DAYS: Final = (20.0, 90.0)
OFFERS_PER_YEAR: Final = 0.35
DOWNGRADES_PER_YEAR: Final = 0.1
UPGRADES_PER_YEAR: Final = 0.12
MILESTONES: Final = (
    ("first-machine-connected", 14.0),
    ("planner-trained", 30.0),
    ("first-alarm-acted-on", 60.0),
    ("first-value-report-read", 90.0),
)
"""What a new customer wants to have reached, and by which day after joining. [d]"""
NEVER_PROBABILITY: Final = 0.1
LATE_DAYS_MEDIAN: Final = 12.0


def draw_relation(seed: int, number: int, joins_h: float, history_h: float) -> Relation:
    """Draw what will happen to one customer.

    Parameters
    ----------
    seed : int
        Seed of the world.
    number : int
        Number of the customer.
    joins_h : float
        When it joins; 0 if it was there before history. [h]
    history_h : float
        When history ends. [h]

    Returns
    -------
    Relation
        Facts may lie after leaving; who tells the story has to stop in time.
    """
    rng = np.random.default_rng([seed, _STREAM, number])
    label = f"{number + 1:03d}"
    champions: list[Champion] = []
    from_h = joins_h
    while from_h < history_h:
        to_h = from_h + float(rng.exponential(CHAMPION_YEARS)) * _YEAR_H
        champions.append(Champion(f"contact-{label}-{len(champions) + 1}", from_h, to_h))
        from_h = to_h + float(rng.uniform(*VACANT_DAYS)) * HOURS_PER_DAY
    offers_h = _times(rng, OFFERS_PER_YEAR, joins_h, history_h)
    prices = tuple(round(float(price), 3) for price in rng.uniform(0.8, 0.98, len(offers_h)))
    changes = [
        *((at_h, -float(rng.uniform(0.1, 0.3)))
          for at_h in _times(rng, DOWNGRADES_PER_YEAR, joins_h, history_h)),
        *((at_h, float(rng.uniform(0.08, 0.25)))
          for at_h in _times(rng, UPGRADES_PER_YEAR, joins_h, history_h)),
    ]  # fmt: skip
    tier_changes = tuple(
        TierChange(f"change-{label}-{place + 1}", at_h, round(delta, 3))
        for place, (at_h, delta) in enumerate(sorted(changes))
    )
    milestones = []
    for name, due_days in MILESTONES if joins_h > 0 else ():
        due_h = joins_h + due_days * HOURS_PER_DAY
        late_days = float(rng.lognormal(math.log(LATE_DAYS_MEDIAN), 1.0)) - LATE_DAYS_MEDIAN
        is_never = float(rng.random()) < NEVER_PROBABILITY
        done_h = math.inf if is_never else max(joins_h + 1.0, due_h + late_days * HOURS_PER_DAY)
        milestones.append(Milestone(f"milestone-{label}-{name}", name, due_h, done_h))
    return Relation(tuple(champions), offers_h, prices, tier_changes, tuple(milestones))


def _times(
    rng: np.random.Generator, per_year: float, from_h: float, to_h: float
) -> tuple[float, ...]:
    n_times = int(rng.poisson(per_year * max(0.0, to_h - from_h) / _YEAR_H))
    return tuple(np.sort(rng.uniform(from_h, max(from_h, to_h), size=n_times)).tolist())


def relation_features(customer: CustomerState, relation: Relation, landmark_h: float) -> FloatArray:
    """Measure what relations add to the hazard.

    Parameters
    ----------
    customer : CustomerState
        The customer.
    relation : Relation
        What happens to it.
    landmark_h : float
        Nothing after this moment is used. [h]

    Returns
    -------
    ndarray of shape (5,)
        In the order of `RELATION_FEATURES`.
    """
    day_h = HOURS_PER_DAY
    return np.array([
        _is_any((each.to_h for each in relation.champions), landmark_h, 180 * day_h),
        _is_any(
            (each.at_h for each in relation.tier_changes if each.delta_ratio < 0),
            landmark_h, 180 * day_h,
        ),
        _is_any(relation.offers_h, landmark_h, 90 * day_h),
        float(sum(
            each.due_h <= landmark_h < each.done_h and landmark_h - each.due_h < _YEAR_H
            for each in relation.milestones
        )),
        float(any(
            landmark_h <= term.ends_h < landmark_h + 60 * day_h for term in customer.terms
        )),
    ])  # fmt: skip


def _is_any(
    times_h: "Iterator[float] | tuple[float, ...]", landmark_h: float, window_h: float
) -> float:
    return float(any(landmark_h - window_h < at_h <= landmark_h for at_h in times_h))


def contacts(world: World) -> Iterator[Row]:
    """Tell who the champions are and when they left.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.RELATIONS`.
    """
    for customer in world.customers:
        for one in world.relations[customer.number].champions:
            if one.from_h >= customer.left_h:
                continue
            cells = (one.key, customer.key, "champion", world.calendar.moment(one.from_h))
            yield Row(one.from_h, one.from_h + 24.0, (*cells, None))
            if one.to_h < customer.left_h:
                known_h = one.to_h + 72.0
                yield Row(one.to_h, known_h, (*cells, world.calendar.moment(one.to_h)))


def competitor_offers(world: World) -> Iterator[Row]:
    """Tell what competitors have offered.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.RELATIONS`.
    """
    for customer in world.customers:
        relation = world.relations[customer.number]
        pairs = zip(relation.offers_h, relation.offer_price_ratio, strict=True)
        for place, (at_h, ratio) in enumerate(pairs, 1):
            if at_h < customer.left_h:
                key = f"offer-{customer.number + 1:03d}-{place}"
                yield Row(at_h, at_h + 48.0, (key, customer.key, ratio))


def contract_changes(world: World) -> Iterator[Row]:
    """Tell which contracts became larger or smaller.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.RELATIONS`.
    """
    for customer in world.customers:
        for one in world.relations[customer.number].tier_changes:
            if one.at_h >= customer.left_h:
                continue
            terms = [term for term in customer.terms if term.starts_h <= one.at_h < term.ends_h]
            if terms:
                kind = "downgrade" if one.delta_ratio < 0 else "upgrade"
                delta = round(one.delta_ratio * terms[0].value_eur_per_year, 2)
                yield Row(one.at_h, one.at_h + 24.0, (one.key, terms[0].key, kind, delta, "EUR"))


def milestones(world: World) -> Iterator[Row]:
    """Tell what new customers wanted to have reached, and when they had.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.RELATIONS`.
    """
    day = world.calendar.day
    for customer in world.customers:
        for one in world.relations[customer.number].milestones:
            cells = (one.key, customer.key, one.name, day(one.due_h))
            yield Row(customer.joins_h, customer.joins_h + 24.0, (*cells, None))
            if one.done_h < customer.left_h and not math.isinf(one.done_h):
                yield Row(one.done_h, one.done_h + 12.0, (*cells, day(one.done_h)))


def parts(world: World) -> Iterator[Row]:
    """Tell which part mends which fault.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.RELATIONS`.
    """
    at_h = -500.0 * HOURS_PER_DAY
    laws = {machine.law.kind: machine.law for one in world.customers for machine in one.machines}
    for kind, law in sorted(laws.items()):
        price_eur = 0.35 * MACHINE_KINDS[kind].costs.planned_visit_cost_eur
        for fault_code in law.fault_codes:
            key = f"part-{law.key_prefix}-{fault_code}"
            yield Row(at_h, at_h + 1.0, (key, kind, fault_code, round(price_eur, 2), "EUR"))


def technician_shifts(world: World) -> Iterator[Row]:
    """Tell when technicians arrive, in their local time.

    Parameters
    ----------
    world : World
        A world that has been played.

    Yields
    ------
    Row
        Columns as in `tables.RELATIONS`.
    """
    at_h = -500.0 * HOURS_PER_DAY
    for one in world.technicians:
        cells = (f"shift-{one.key}", one.key, *WORKING_DAY_H, one.person.region.utc_offset_h)
        yield Row(at_h, at_h + 1.0, cells)
