"""The simulated business world keeps its own books straight and obeys its own laws."""

import csv
import itertools
import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from api.registry import models
from simulators.errors import ScenarioError
from simulators.machines import KINDS
from simulators.world import generate_business, happenings
from simulators.world.history import machines_of, play_history
from simulators.world.law import (
    ACCESS_PROBABILITY,
    DIAGNOSIS_PROBABILITY,
    MONTH_H,
    PART_PROBABILITY,
    POOR_REPAIR_PROBABILITY,
    UNSKILLED_PROBABILITY,
    FloatArray,
    remaining_life_days,
)
from simulators.world.state import Calendar, CustomerState, World
from simulators.world.tables import TABLES

HISTORY_H = Calendar(datetime.now(UTC)).history_h
UNTIL = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)
SEED = 7
MODEL_BY_TABLE = {
    "customers": models.Customer,
    "sites": models.Site,
    "contracts": models.Contract,
    "machines": models.Machine,
    "technicians": models.Technician,
    "work_orders": models.WorkOrder,
    "visits": models.Visit,
    "downtimes": models.Downtime,
    "tickets": models.Ticket,
    "payments": models.Payment,
    "usages": models.Usage,
}
REFERENCES = {
    "sites": {"customer_key": "customers"},
    "contracts": {"customer_key": "customers"},
    "machines": {"site_key": "sites", "contract_key": "contracts"},
    "work_orders": {"machine_key": "machines"},
    "visits": {"work_order_key": "work_orders", "technician_key": "technicians"},
    "downtimes": {"machine_key": "machines", "work_order_key": "work_orders"},
    "tickets": {"customer_key": "customers", "machine_key": "machines"},
    "payments": {"contract_key": "contracts"},
    "usages": {"machine_key": "machines"},
}
CONNECTED_KEYS = {
    f"{kind}-{number:02d}" for kind in ("conveyor", "pump", "spindle") for number in range(1, 5)
}

TECHNICIANS = {f"tech-{number:02d}" for number in range(1, 13)}

Line = dict[str, str]
Books = dict[str, list[Line]]


def read_lines(path: Path) -> list[Line]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def newest(lines: list[Line]) -> dict[str, Line]:
    return {line["key"]: line for line in sorted(lines, key=lambda line: line["recorded_at"])}


def owner_by_machine(books: Books) -> dict[str, str]:
    owner_by_site = {line["key"]: line["customer_key"] for line in books["sites"]}
    return {line["key"]: owner_by_site[line["site_key"]] for line in books["machines"]}


def first_visits(world: World) -> list[tuple[float, bool]]:
    """Law's chance of success and outcome of the first visit of each job left to chance."""
    ability = {one.key: one for one in world.technicians}
    found = []
    for customer, machine in machines_of(world):
        for job, visits in itertools.groupby(machine.visits, key=lambda visit: visit.job.key):
            visit = next(visits)
            # What happens to connected machines late in history is by script.
            if visit.job.kind != "corrective" or not customer.may_leave:
                continue
            technician = ability[visit.technician_key]
            is_skilled = machine.law.kind in technician.person.skills
            skill = technician.skilled_probability if is_skilled else UNSKILLED_PROBABILITY
            probability = ACCESS_PROBABILITY * DIAGNOSIS_PROBABILITY * skill * PART_PROBABILITY[0]
            found.append((probability, visit.is_resolved))
            assert visit.job.key == job
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "business"
    generate_business(path, SEED, UNTIL)
    return path


@pytest.fixture(scope="module")
def books(folder: Path) -> Books:
    return {table: read_lines(folder / f"{table}.csv") for table in MODEL_BY_TABLE}


@pytest.fixture(scope="module")
def truth(folder: Path) -> list[Line]:
    return read_lines(folder.parent / "truth" / "customers.csv")


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [play_history(seed, UNTIL) for seed in range(40)]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    folder: Path, tmp_path: Path
) -> None:
    generate_business(tmp_path / "again" / "business", SEED, UNTIL)
    generate_business(tmp_path / "other" / "business", SEED + 1, UNTIL)

    for path in [*folder.glob("*.csv"), folder.parent / "truth" / "customers.csv"]:
        inside = path.relative_to(folder.parent)
        assert (tmp_path / "again" / inside).read_bytes() == path.read_bytes()
    visits = Path("business", "visits.csv")
    assert (tmp_path / "other" / visits).read_bytes() != (folder.parent / visits).read_bytes()


def test_the_end_may_be_given_in_any_zone(folder: Path, tmp_path: Path) -> None:
    in_china = UNTIL.astimezone(timezone(timedelta(hours=8)))

    generate_business(tmp_path / "business", SEED, in_china)

    assert (tmp_path / "business" / "visits.csv").read_bytes() == (
        folder / "visits.csv"
    ).read_bytes()


@pytest.mark.parametrize("table", MODEL_BY_TABLE)
def test_columns_are_those_of_the_registry(books: Books, table: str) -> None:
    expected = set(MODEL_BY_TABLE[table].__table__.columns.keys()) - {"id", "source", "import_id"}

    assert books[table]
    assert set(books[table][0]) == expected


def test_truth_never_lies_beside_what_is_imported(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {f"{table}.csv" for table in MODEL_BY_TABLE}


def test_every_reference_resolves_and_was_known_before(books: Books) -> None:
    known_at: dict[str, dict[str, str]] = {}
    for table, lines in books.items():
        known_at[table] = {}
        for line in lines:
            first = known_at[table].setdefault(line["key"], line["recorded_at"])
            known_at[table][line["key"]] = min(first, line["recorded_at"])

    for table, columns in REFERENCES.items():
        for line, (column, other) in itertools.product(books[table], columns.items()):
            if line[column] or column != "machine_key":
                assert known_at[other][line[column]] <= line["recorded_at"], (table, line)


def test_facts_are_recorded_after_they_became_true_and_before_the_end(books: Books) -> None:
    for table, lines in books.items():
        for line in lines:
            assert moment(line["valid_at"]) <= moment(line["recorded_at"]) <= UNTIL, (table, line)


def test_versions_of_a_fact_differ_in_when_they_were_recorded(books: Books) -> None:
    for table, lines in books.items():
        versions = [(line["key"], line["recorded_at"]) for line in lines]
        assert len(set(versions)) == len(versions), table


def test_history_lasts_two_years_and_a_lead_in(books: Books) -> None:
    first = min(moment(line["opened_at"]) for line in books["work_orders"])
    last = max(moment(line["recorded_at"]) for line in books["visits"])

    assert UNTIL - timedelta(days=30 * 30.4375) <= first <= UNTIL - timedelta(days=890)
    assert last > UNTIL - timedelta(days=10)


def test_spans_end_after_they_begin(books: Books) -> None:
    spans = {
        "work_orders": ("opened_at", "closed_at"),
        "visits": ("arrived_at", "left_at"),
        "downtimes": ("started_at", "ended_at"),
        "tickets": ("opened_at", "closed_at"),
        "contracts": ("starts_on", "ends_on"),
    }
    for table, (start, end) in spans.items():
        for line in books[table]:
            assert not line[end] or line[start] < line[end], (table, line)


def test_visits_come_after_their_order_was_opened(books: Books) -> None:
    orders = newest(books["work_orders"])

    for visit in books["visits"]:
        assert visit["arrived_at"] >= orders[visit["work_order_key"]]["opened_at"]
        assert (visit["is_resolved"] == "true") == (visit["incomplete_reason"] == "")


def test_no_technician_is_at_two_places_at_once(books: Books) -> None:
    by_technician = defaultdict(list)
    for visit in books["visits"]:
        by_technician[visit["technician_key"]].append((visit["arrived_at"], visit["left_at"]))

    for visits in by_technician.values():
        for before, after in itertools.pairwise(sorted(visits)):
            assert before[1] <= after[0]


def test_planned_and_unplanned_standstills_sometimes_overlap(books: Books) -> None:
    by_machine = defaultdict(list)
    for line in newest(books["downtimes"]).values():
        if line["ended_at"]:
            span = (line["started_at"], line["ended_at"], line["is_planned"])
            by_machine[line["machine_key"]].append(span)

    n_overlaps = sum(
        one[0] < other[1] and other[0] < one[1]
        for spans in by_machine.values()
        for one, other in itertools.combinations(spans, 2)
    )
    n_unplanned_overlaps = sum(
        one[0] < other[1] and other[0] < one[1] and "true" not in {one[2], other[2]}
        for spans in by_machine.values()
        for one, other in itertools.combinations(spans, 2)
    )

    assert n_overlaps >= 10
    assert n_unplanned_overlaps == 0


def test_contracts_of_a_customer_follow_each_other_without_overlap(books: Books) -> None:
    by_customer = defaultdict(list)
    for line in newest(books["contracts"]).values():
        by_customer[line["customer_key"]].append(line)

    assert len(by_customer) == 24
    for contracts in by_customer.values():
        contracts.sort(key=lambda line: line["starts_on"])
        for before, after in itertools.pairwise(contracts):
            assert before["ends_on"] == after["starts_on"]
            assert before["outcome"] == "renewed"


def test_contracts_are_recorded_open_first_and_decided_later(books: Books) -> None:
    versions = defaultdict(list)
    for line in sorted(books["contracts"], key=lambda line: line["recorded_at"]):
        versions[line["key"]].append(line)

    for lines in versions.values():
        assert [line["outcome"] for line in lines[:1]] == [""]
        assert len(lines) <= 2
        for line in lines[1:]:
            assert line["outcome"] in {"renewed", "churned"}
            assert line["outcome_on"] == line["valid_at"][:10]
            assert (line["outcome_reason"] != "") == (line["outcome"] == "churned")
            assert line["outcome"] == "churned" or line["outcome_on"] < line["ends_on"]
    running = [lines[-1] for lines in versions.values() if lines[-1]["outcome"] == ""]
    assert all(line["ends_on"] > f"{UNTIL:%Y-%m-%d}" for line in running)


def test_who_left_in_truth_has_a_churned_contract(books: Books, truth: list[Line]) -> None:
    left_on = {
        line["customer_key"]: date.fromisoformat(line["outcome_on"])
        for line in books["contracts"]
        if line["outcome"] == "churned"
    }
    landmark = {
        line["customer"]: moment(line["landmark_at"]).date()
        for line in truth
        if line["has_left"] == "true"
    }

    # A customer who left on the very last days may not be written down yet.
    assert set(left_on) <= set(landmark)
    assert len(landmark) - len(left_on) <= 1
    for customer, on in left_on.items():
        assert landmark[customer] < on <= landmark[customer] + timedelta(days=31)


def test_nothing_happens_at_a_customer_who_has_left(books: Books) -> None:
    left_at = {
        line["customer_key"]: line["valid_at"]
        for line in books["contracts"]
        if line["outcome"] == "churned"
    }
    owner = owner_by_machine(books)
    owner_by_contract = {line["key"]: line["customer_key"] for line in books["contracts"]}
    orders = newest(books["work_orders"])

    def customer_of(table: str, line: Line) -> str:
        match table:
            case "visits":
                return owner[orders[line["work_order_key"]]["machine_key"]]
            case "payments":
                return owner_by_contract[line["contract_key"]]
            case "machines" | "work_orders" | "downtimes" | "usages":
                return owner[line["key" if table == "machines" else "machine_key"]]
            case "customers":
                return line["key"]
            case _:
                return line["customer_key"]

    assert left_at
    for table in MODEL_BY_TABLE.keys() - {"technicians"}:
        for line in books[table]:
            assert line["valid_at"] <= left_at.get(customer_of(table, line), "9999"), (table, line)


def test_leaving_in_the_middle_of_a_repair_ends_everything_that_is_open() -> None:
    """For each repair of one customer in turn, as if it left halfway through."""
    world = play_history(SEED, UNTIL)
    customer = world.customers[7]
    spans_h = [
        (job.opened_h, visit.arrived_h, visit.left_h)
        for machine in customer.machines
        for job in machine.jobs
        for visit in machine.visits
        if visit.job is job and job.closed_h < Calendar(datetime.now(UTC)).history_h - 100.0
    ]
    other_world = World(world.calendar, [customer], world.technicians, [])

    for opened_h, arrived_h, ended_h in spans_h:
        for left_h in ((opened_h + arrived_h) / 2.0, (arrived_h + ended_h) / 2.0):
            customer.left_h = left_h
            rows = [row for table in TABLES for row in table.rows(other_world)]
            assert all(row.valid_h <= left_h for row in rows if row.cells[0] not in TECHNICIANS)
            latest = {row.cells[0]: row for row in happenings.downtimes(other_world)}
            assert all(row.cells[3] is not None for row in latest.values())
            latest = {row.cells[0]: row for row in happenings.work_orders(other_world)}
            assert all(row.cells[5] is not None for row in latest.values())


def test_machines_are_those_of_the_plant_and_some_more(books: Books) -> None:
    owner = owner_by_machine(books)
    kind = {line["key"]: line["kind"] for line in books["machines"]}

    assert owner.keys() >= CONNECTED_KEYS
    for key in CONNECTED_KEYS:
        assert owner[key] == f"cust-0{key[-2:]}"
    assert {kind["conveyor-01"], kind["pump-01"], kind["spindle-01"]} == set(kind.values())
    for number in range(5, 25):
        assert 2 <= list(owner.values()).count(f"cust-{number:03d}") <= 4


def test_money_and_hours_are_plausible(books: Books) -> None:
    typical = {
        "downtime_cost_per_h": "downtime_cost_eur_per_h",
        "planned_visit_cost": "planned_visit_cost_eur",
        "planned_visit_h": "planned_visit_h",
        "unplanned_repair_cost": "unplanned_repair_cost_eur",
        "unplanned_repair_h": "unplanned_repair_h",
    }
    for machine, (column, cost) in itertools.product(books["machines"], typical.items()):
        # The plant and the world are of one mind about what a kind of machine costs.
        usual = getattr(KINDS[machine["kind"]].costs, cost)
        assert 0.55 * usual <= float(machine[column]) <= 1.55 * usual
    for contract in books["contracts"]:
        assert 40_000 <= float(contract["recurring_value_per_year"]) <= 430_000
    for line in books["usages"]:
        assert 0.0 <= float(line["run_h"]) <= 31 * 24


def test_truth_is_the_published_hazard_of_the_published_features(truth: list[Line]) -> None:
    for line in truth:
        log_odds = (
            -5.85
            + 0.022 * min(float(line["downtime_h_per_machine_90d"]), 100.0)
            + 1.5 * float(line["repeat_visit_ratio_180d"])
            + 0.8 * min(float(line["response_excess_ratio_90d"]), 3.0)
            + 0.05 * min(float(line["late_payment_days_180d"]), 30.0)
            - 3.0 * min(max(float(line["usage_change_ratio_90d"]), -0.5), 0.5)
            + 0.9 * float(line["champion_left_180d_count"])
            + 0.7 * float(line["downgrade_180d_count"])
            + 0.6 * float(line["competitor_offer_90d_count"])
            + 0.25 * min(float(line["onboarding_overdue_count"]), 4.0)
            + 0.7 * float(line["renewal_within_60d_count"])
            + float(line["frailty_log_odds"])
        )
        assert float(line["monthly_hazard"]) == pytest.approx(1.0 / (1.0 + math.exp(-log_odds)))


def test_downtime_in_truth_can_be_counted_from_the_books(books: Books, truth: list[Line]) -> None:
    owner = owner_by_machine(books)
    n_machines = {key: list(owner.values()).count(key) for key in set(owner.values())}
    downtimes = newest(books["downtimes"]).values()

    # Landmarks before the last month: by now everything of theirs has been written down.
    for line in truth:
        end = moment(line["landmark_at"])
        if end > UNTIL - timedelta(days=20):
            continue
        start, hours = end - timedelta(days=90), 0.0
        for one in downtimes:
            if owner[one["machine_key"]] == line["customer"] and one["is_planned"] == "false":
                ended = min(moment(one["ended_at"]), end) if one["ended_at"] else end
                span = ended - max(moment(one["started_at"]), start)
                hours += max(0.0, span / timedelta(hours=1))
        counted = hours / n_machines[line["customer"]]
        assert counted == pytest.approx(float(line["downtime_h_per_machine_90d"]), abs=0.01)


def test_as_many_leave_as_the_true_hazard_says(worlds: list[World]) -> None:
    rows = [
        (row.hazard, bool(row.has_left))
        for world in worlds
        for row in world.truth
        if row.may_leave and row.has_left is not None
    ]
    hazard = np.array([hazard for hazard, _ in rows])
    has_left = np.array([left for _, left in rows])

    # Months at risk form a martingale, so realised less summed hazard is close to normal.
    order = np.argsort(hazard)
    for part in (order, *np.array_split(order, 3)):
        excess = has_left[part].sum() - hazard[part].sum()
        assert abs(excess) < 3.5 * math.sqrt((hazard[part] * (1.0 - hazard[part])).sum())
    assert hazard[order[-len(order) // 3 :]].mean() > 5.0 * hazard[order[: len(order) // 3]].mean()


def test_five_to_eight_of_twenty_four_leave_in_two_years(
    worlds: list[World], truth: list[Line]
) -> None:
    n_left = [sum(row.has_left is True for row in world.truth) for world in worlds]

    assert 5.0 <= np.mean(n_left) <= 8.0
    assert 5 <= sum(line["has_left"] == "true" for line in truth) <= 8


def test_connected_customers_stay_and_renew_within_a_year(books: Books) -> None:
    contracts = newest(books["contracts"]).values()
    days_ahead = {}
    for line in contracts:
        if line["customer_key"] in {"cust-001", "cust-002", "cust-003", "cust-004"}:
            assert line["outcome"] in {"", "renewed"}
            if line["outcome"] == "":
                left = date.fromisoformat(line["ends_on"]) - UNTIL.date()
                days_ahead[line["customer_key"]] = left.days

    assert len(days_ahead) == 4
    assert all(30 <= days <= 300 for days in days_ahead.values())
    assert min(days_ahead, key=days_ahead.__getitem__) == "cust-001"
    assert days_ahead["cust-001"] == 75


def test_the_bad_quarter_of_the_first_customer_shows_and_the_third_has_a_good_one(
    worlds: list[World],
) -> None:
    for world in worlds:
        now = {row.customer_key: row for row in world.truth if row.month == 24}
        bad, good = now["cust-001"].features, now["cust-003"].features

        assert 8.0 < bad[0] < 80.0
        assert bad[1] > 0.0
        assert good[0] == 0.0


def test_connected_machines_are_left_to_their_telemetry_in_the_last_sixty_days(
    worlds: list[World],
) -> None:
    quiet_from_h = Calendar(datetime.now(UTC)).history_h - 60.0 * 24.0

    for world in worlds:
        for customer, machine in machines_of(world):
            if not customer.may_leave:
                assert all(job.closed_h < quiet_from_h for job in machine.jobs), machine.key
                assert all(one.ended_h < quiet_from_h for one in machine.standstills)


def test_first_visits_succeed_as_often_as_their_law_says(worlds: list[World]) -> None:
    visits = [pair for world in worlds for pair in first_visits(world)]
    probability = np.array([chance for chance, _ in visits])
    n_fixed = sum(is_fixed for _, is_fixed in visits)

    spread = math.sqrt((probability * (1.0 - probability)).sum())

    assert abs(n_fixed - probability.sum()) < 3.5 * spread
    assert 0.70 < n_fixed / len(visits) < 0.80


def test_faults_come_back_soon_after_poor_repairs(worlds: list[World]) -> None:
    """With 3 to 25 days of life, poor repairs alone would give the law's share."""
    n_repairs = n_back = 0
    for world in worlds:
        for _, machine in machines_of(world):
            jobs = [job for job in machine.jobs if job.kind == "corrective"]
            for before, after in itertools.pairwise(jobs):
                n_repairs += 1
                is_same = before.fault_code == after.fault_code
                n_back += is_same and after.opened_h - before.closed_h < 26.0 * 24.0

    # Some new failures hit the same part by chance, so the share lies a little above.
    assert POOR_REPAIR_PROBABILITY < n_back / n_repairs < POOR_REPAIR_PROBABILITY + 0.08


@pytest.mark.parametrize("shape", [1.0, 1.8, 2.4])
@pytest.mark.parametrize("age_days", [0.0, 150.0])
def test_lives_left_follow_the_weibull_law(shape: float, age_days: float) -> None:
    exponential = np.random.default_rng(1).standard_exponential(4000)

    life_days = remaining_life_days(
        exponential, np.full(4000, age_days), shape=shape, scale_days=200.0
    )

    law = scipy.stats.weibull_min(shape, scale=200.0)

    # If the law holds, the conditional probability of so long a life is uniform.
    probability = law.sf(life_days + age_days) / law.sf(age_days)
    assert scipy.stats.kstest(probability, "uniform").pvalue > 0.001


def hours_since_failure(customer: CustomerState, times_h: FloatArray) -> FloatArray:
    """Hours since the newest failure of any machine, infinite before the first."""
    failures_h = [
        job.opened_h
        for machine in customer.machines
        for job in machine.jobs
        if job.kind == "corrective"
    ]
    since_h = times_h[:, None] - np.array([-math.inf, *failures_h])
    newest_h: FloatArray = np.where(since_h >= 0.0, since_h, math.inf).min(axis=1)
    return newest_h


def test_letters_surge_in_the_week_after_a_failure(worlds: list[World]) -> None:
    week_h, n_after, after_h, n_other, other_h = 7 * 24.0, 0, 0.0, 0, 0.0
    for world in worlds:
        for customer in world.customers:
            end_h = min(customer.left_h, Calendar(datetime.now(UTC)).history_h)
            letters_h = np.array([one.opened_h for one in customer.tickets if one.opened_h < end_h])
            hours_h = np.arange(customer.joins_h, end_h, 12.0)
            is_letter_after = hours_since_failure(customer, letters_h) < week_h
            is_hour_after = hours_since_failure(customer, hours_h) < week_h
            n_after += int(is_letter_after.sum())
            n_other += int((~is_letter_after).sum())
            after_h += 12.0 * float(is_hour_after.sum())
            other_h += 12.0 * float((~is_hour_after).sum())

    assert n_after / after_h > 2.0 * n_other / other_h


def test_letters_dry_up_before_leaving(worlds: list[World]) -> None:
    """Against those who stay, though leavers had more failures to write about."""
    letters_per_machine: dict[bool, list[float]] = {True: [], False: []}
    for world in worlds:
        for customer in world.customers:
            if not customer.may_leave or customer.joins_h > 0.0:
                continue
            end_h = min(customer.left_h, Calendar(datetime.now(UTC)).history_h)
            n_letters = sum(
                end_h - 2.0 * MONTH_H < one.opened_h < end_h for one in customer.tickets
            )
            has_left = math.isfinite(customer.left_h)
            letters_per_machine[has_left].append(n_letters / len(customer.machines))

    assert np.mean(letters_per_machine[True]) < 0.75 * np.mean(letters_per_machine[False])


def test_the_more_trouble_the_later_customers_pay(worlds: list[World]) -> None:
    rows = [row.features for world in worlds for row in world.truth]
    burden = [features[0] + 50.0 * features[1] for features in rows]
    late_days = [features[3] for features in rows]

    assert scipy.stats.spearmanr(burden, late_days).statistic > 0.3


def test_poorly_served_customers_leave_more_often_than_well_served_ones(
    worlds: list[World],
) -> None:
    rows = [
        (row.features[0], bool(row.has_left))
        for world in worlds
        for row in world.truth
        if row.may_leave and row.has_left is not None
    ]
    is_bad = np.array([downtime_h > 40.0 for downtime_h, _ in rows])
    has_left = np.array([left for _, left in rows])

    assert has_left[is_bad].mean() > 2.0 * has_left[~is_bad].mean()


def test_tomorrow_tells_nearly_the_same_story(truth: list[Line], tmp_path: Path) -> None:
    generate_business(tmp_path / "business", SEED, UNTIL + timedelta(days=1))

    tomorrow = read_lines(tmp_path / "truth" / "customers.csv")

    def leavers(lines: list[Line]) -> set[str]:
        return {line["customer"] for line in lines if line["has_left"] == "true"}

    assert len(leavers(truth) ^ leavers(tomorrow)) <= 2


@pytest.mark.parametrize(
    "until", [datetime(2028, 2, 29, tzinfo=UTC), datetime(2025, 12, 31, 23, 59, tzinfo=UTC)]
)
def test_leap_days_and_ends_of_year_do_no_harm(tmp_path: Path, until: datetime) -> None:
    generate_business(tmp_path / "business", 3, until)

    contracts = newest(read_lines(tmp_path / "business" / "contracts.csv")).values()
    assert {line["customer_key"] for line in contracts} == {f"cust-{n:03d}" for n in range(1, 25)}
    assert all(date.fromisoformat(line["ends_on"]) for line in contracts)


def test_a_time_without_zone_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no time zone; give an aware time"):
        generate_business(tmp_path / "business", 1, UNTIL.replace(tzinfo=None))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("year", [1, 9999])
def test_an_end_centuries_away_is_refused_with_the_remedy(tmp_path: Path, year: int) -> None:
    with pytest.raises(ScenarioError, match="outside the years 1980 to 2200; choose an end"):
        generate_business(tmp_path / "business", 1, datetime(year, 6, 1, tzinfo=UTC))


def test_a_negative_seed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="seed -1 is below 0; give a whole number"):
        generate_business(tmp_path / "business", -1, UNTIL)


def test_a_file_in_the_way_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "business").write_text("mine")

    with pytest.raises(ScenarioError, match="is a file; name a folder"):
        generate_business(tmp_path / "business", 1, UNTIL)

    assert (tmp_path / "business").read_text() == "mine"
