"""The business world: customers, service, and leaving by a hazard that is known.

It plays what a maker of subscription machines would have written down over two years, and keeps
the truth aside. History begins half a year before those two years, so that features looking 180
days back have their facts from the first landmark on; nobody leaves in that lead-in. A month is
730.5 h everywhere in here, and all features are taken at landmarks a whole number of months
before the end. Each customer, machine and technician throws dice of its own: a change to one
leaves the dice of the others as they were.

**Machines** fail at the end of a Weibull life (shape 1 for pumps, a Poisson process), counted in
time that runs at the owner's pace: lognormal between owners, and 2.5 times as fast in a bad
quarter. A repair makes them new, though 8 % of repairs hold only 3 to 25 days; a planned visit
leaves 40 % of their age (Kijima's second model [1]_).

**Service.** A failure opens a corrective work order. The technician comes after a lognormal wait
(median 13 h, plus 15 % for each corrective job open in the region), in the working day, if one is
free. A visit fixes the fault if access (0.98), diagnosis (0.94), skill (0.92 to 0.99 if trained
for the kind, else 0.6) and the part on the van (0.86, later 0.98) all hold, and the third visit
always does. Half of the failed visits leave the machine running until the next, one to five days
later. Standstill lasts from failure to restoration. Some repairs bring the planned visit forward,
so that a planned and an unplanned standstill overlap.

**Leaving.** In the month after a landmark a customer leaves with probability::

    1 / (1 + exp(-(-5.85 + 0.022 downtime_h_per_machine_90d + 1.5 repeat_visit_ratio_180d
                   + 0.8 response_excess_ratio_90d + 0.05 late_payment_days_180d
                   - 3.0 usage_change_ratio_90d
                   + 0.9 champion_left_180d + 0.7 downgrade_180d + 0.6 competitor_offer_90d
                   + 0.25 onboarding_overdue + 0.7 renewal_within_60d + frailty)))

with normal frailty of standard deviation 0.7 log-odds, drawn once for each customer, and the
features held within the bounds in `law.HAZARD_TERMS`:

- downtime: unplanned hours per machine;
- repeats: corrective visits within 30 days after another for the same fault of the same machine,
  among all corrective visits;
- response: mean of the time by which the first arrival of each corrective order exceeded its
  target, as part of the target;
- late payment: mean days late of bills fallen due, an open one counting so far;
- use: run hours meant for the last three months over the three before, less one;
- what `simulators.world.relations` tells: a champion who left, a tier that went down, a
  competitor's offer (each 1 or 0), milestones of a new customer that are overdue by up to a year,
  and whether a yearly term ends within 60 days.

The first four customers own the machines of the simulated plant and stay, whatever their hazard;
they have trouble by script between the 90th and the 60th day before the end, cust-001 most, and
none after, because from there on their machines tell their own story by telemetry.

**What is only an answer.** The log-odds of the three service terms delay payments (5 d each) and,
above 0.5 in sum, wear down use (3 % a month each). Failures bring questions and complaints; but
the higher the log-odds of leaving, the fewer letters of any kind, so that silence comes before
leaving without being a cause of it. Contracts run for a year and are renewed 15 to 90 % of the
notice period before they end, unless the customer leaves first, at any time of the year.

References
----------
.. [1] M. Kijima, "Some results for repairable systems with general repair", Journal of Applied
   Probability, vol. 26, no. 1, pp. 89-102, 1989.
"""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from simulators.errors import ScenarioError
from simulators.world.cast import N_CAST, N_CONNECTED
from simulators.world.history import play_history
from simulators.world.law import N_MONTHS
from simulators.world.rows import Cell, is_told, render
from simulators.world.tables import RELATIONS, TABLES, TRUTH_COLUMNS, truth_rows

__all__ = ["generate_business"]

_YEARS: Final = (1980, 2200)
"""Ends of history that leave room for machines installed before and contracts running after."""


def generate_business(
    folder: Path,
    seed: int,
    until: datetime,
    *,
    n_customers: int = N_CAST,
    n_months: int = N_MONTHS,
) -> None:
    """Write two years of business history as CSV files for import, and the truth aside.

    The same seed and end give the same bytes. Files of an earlier run are overwritten.

    Parameters
    ----------
    folder : Path
        Gains ``customers.csv`` to ``usages.csv``; made if it is not there. The true risk of every
        customer and month goes to ``truth/customers.csv`` beside the folder, never into it.
    seed : int
        Decides everything that is left to chance; 0 or above.
    until : datetime
        End of history, aware; a fraction of a second is cut off.
    n_customers : int
        How many customers there are, 24 by default.
    n_months : int
        Months in which customers may leave, 24 by default.

    Raises
    ------
    ScenarioError
        If the seed is below 0, the time has no zone or lies centuries away, there are too few
        customers or months, or a file is in the
        way of a folder.
    """
    if seed < 0:
        msg = f"generate_business: seed {seed} is below 0; give a whole number from 0 on"
        raise ScenarioError(msg)
    if until.tzinfo is None:
        msg = (
            f"generate_business: until {until.isoformat()} has no time zone; "
            "give an aware time, for example 2026-01-31T00:00:00Z"
        )
        raise ScenarioError(msg)
    if not _YEARS[0] <= until.year <= _YEARS[1]:
        msg = (
            f"generate_business: until {until.isoformat()} is outside the years "
            f"{_YEARS[0]} to {_YEARS[1]}; choose an end of history within them"
        )
        raise ScenarioError(msg)
    truth_folder, relations_folder = folder.parent / "truth", folder.parent / "relations"
    if n_customers < N_CONNECTED or n_months < 1:
        msg = (
            f"generate_business: {n_customers} customers over {n_months} months are too few; give "
            f"at least {N_CONNECTED} customers (--customers) and one month (--months)"
        )
        raise ScenarioError(msg)
    for path in (folder, truth_folder, relations_folder):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            msg = f"generate_business: {path} is a file; name a folder or move the file away"
            raise ScenarioError(msg) from error
    world = play_history(
        seed,
        until.astimezone(UTC).replace(microsecond=0),
        n_customers=n_customers,
        n_months=n_months,
    )
    moment = world.calendar.moment
    placed = [(folder, table) for table in TABLES]
    placed += [(relations_folder, table) for table in RELATIONS]
    for place, table in placed:
        told = [row for row in table.rows(world) if is_told(row, world.calendar.history_h)]
        told.sort(key=lambda row: (row.known_h, str(row.cells[0])))
        _write(
            place / f"{table.name}.csv",
            (*table.columns, "valid_at", "recorded_at"),
            ((*row.cells, moment(row.valid_h), moment(row.known_h)) for row in told),
        )
    _write(truth_folder / "customers.csv", TRUTH_COLUMNS, truth_rows(world))


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([render(cell) for cell in row] for row in rows)
