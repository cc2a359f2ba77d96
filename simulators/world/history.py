"""Plays the simulated world from its first day to its last, in the order of time."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from simulators.world.cast import N_CAST
from simulators.world.feeling import live_month, react_to_failure
from simulators.world.founding import found_world
from simulators.world.law import HOURS_PER_DAY, MONTH_H, N_LEAD_IN_MONTHS, N_MONTHS
from simulators.world.service import next_failure_h, repair, visit_as_planned
from simulators.world.state import CustomerState, MachineState, World


@dataclass(order=True, slots=True)
class _Event:
    time_h: float
    number: int
    kind: Literal["failure", "script", "planned", "installation", "month"] = field(compare=False)
    subject: int = field(compare=False)
    """Row of the machine or script, or the month."""
    life_number: int = field(compare=False, default=0)


class _Player:
    """Holds the queue of what is to come."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machines: list[tuple[CustomerState, MachineState]] = [
            (customer, machine) for customer in world.customers for machine in customer.machines
        ]
        self.queue: list[_Event] = []
        self.n_events = 0

    def expect(
        self,
        time_h: float,
        kind: Literal["failure", "script", "planned", "installation", "month"],
        subject: int,
        life_number: int = 0,
    ) -> None:
        if time_h <= self.world.calendar.history_h:
            heapq.heappush(self.queue, _Event(time_h, self.n_events, kind, subject, life_number))
            self.n_events += 1

    def expect_failure(self, row: int) -> None:
        customer, machine = self.machines[row]
        self.expect(next_failure_h(customer, machine), "failure", row, machine.life_number)

    def expect_planned(self, row: int, after_h: float, share: float) -> None:
        machine = self.machines[row][1]
        time_h = after_h + share * machine.law.preventive_interval_days * HOURS_PER_DAY
        if time_h <= machine.planned_ends_h:
            self.expect(time_h, "planned", row)

    def begin(self) -> None:
        for month in range(N_LEAD_IN_MONTHS + self.world.calendar.n_months + 1):
            self.expect(month * MONTH_H, "month", month)
        for row, (customer, machine) in enumerate(self.machines):
            if customer.joins_h > 0.0:
                self.expect(customer.joins_h + 24.0, "installation", row)
                self.expect_planned(row, customer.joins_h, 1.0)
            else:
                self.expect_planned(row, 0.0, float(machine.chance.random()))
            self.expect_failure(row)
        for number, (_, _, machine, failed_h) in enumerate(self.world.scripted):
            self.expect(failed_h + float(machine.chance.uniform(-24.0, 24.0)), "script", number)

    def play(self) -> None:
        while self.queue:
            self.handle(heapq.heappop(self.queue))

    def handle(self, event: _Event) -> None:
        match event.kind:
            case "month":
                for customer in self.world.customers:
                    if customer.is_active(event.time_h):
                        live_month(self.world, customer, event.subject)
            case "script":
                script, customer, machine, _ = self.world.scripted[event.subject]
                react_to_failure(
                    customer, machine, repair(self.world, customer, machine, event.time_h, script)
                )
            case "installation":
                customer, machine = self.machines[event.subject]
                visit_as_planned(self.world, customer, machine, "installation", event.time_h)
            case "planned":
                self.visit(event.subject, event.time_h)
            case "failure":
                self.fail(event)

    def visit(self, row: int, time_h: float) -> None:
        customer, machine = self.machines[row]
        if not customer.is_active(time_h):
            return
        if machine.busy_until_h > time_h:
            self.expect(time_h + 7.0 * HOURS_PER_DAY, "planned", row)
            return
        left_h = visit_as_planned(self.world, customer, machine, "preventive", time_h)
        self.expect_failure(row)
        self.expect_planned(row, left_h, float(machine.chance.uniform(0.9, 1.1)))

    def fail(self, event: _Event) -> None:
        customer, machine = self.machines[event.subject]
        if event.life_number != machine.life_number or not customer.is_active(event.time_h):
            return
        outcome = repair(self.world, customer, machine, event.time_h)
        react_to_failure(customer, machine, outcome)
        self.expect_failure(event.subject)


def play_history(
    seed: int,
    until: datetime,
    *,
    n_customers: int = N_CAST,
    n_months: int = N_MONTHS,
) -> World:
    """Play the whole history.

    Parameters
    ----------
    seed : int
        Decides everything that is left to chance.
    until : datetime
        End of history, aware UTC, in whole seconds.
    n_customers : int
        How many customers there are; the cast if not given.
    n_months : int
        Months in which customers may leave.

    Returns
    -------
    World
        With all facts and the truth about leaving. Facts may lie after the end, or after their
        customer left; who tells the story has to stop in time.
    """
    world = found_world(seed, until, n_customers, n_months)
    player = _Player(world)
    player.begin()
    player.play()
    return world


def machines_of(world: World) -> Iterator[tuple[CustomerState, MachineState]]:
    """Go through all machines with their owners.

    Parameters
    ----------
    world : World
        The world.

    Yields
    ------
    tuple of CustomerState and MachineState
        Owner and machine.
    """
    for customer in world.customers:
        for machine in customer.machines:
            yield customer, machine
