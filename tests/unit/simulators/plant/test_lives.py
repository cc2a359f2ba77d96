"""Lives follow each other without gaps, and a story that can't be is refused."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import ScenarioError
from simulators.machines import BEARING_CONVEYOR, KINDS
from simulators.machines.kind import FailureMode, MachineKind
from simulators.plant.lives import MachineLives, Story, draw_lives
from simulators.plant.maintenance import PATCHED_WEAR, MaintenancePolicy
from simulators.wear.laws import GammaWear, WienerWear
from tests.naive.simulators_plant import state

NOW_H = 500_000.0
START_H = NOW_H - 60 * 24


def draw(kind: MachineKind, story: Story, seed: int = 1) -> MachineLives:
    return draw_lives(kind, story, np.random.default_rng(seed), start_h=START_H, now_h=NOW_H)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_each_life_begins_when_the_last_was_repaired(kind: MachineKind) -> None:
    lives = draw(kind, Story((5.0, 9.0), (0.1, 0.9))).until(NOW_H + 5 * 365 * 24)

    assert len(lives) > 15
    for life, following in itertools.pairwise(lives):
        assert following.started_h == life.resumed_h
        assert life.started_h < life.components[0].onset_h < life.stopped_h < life.resumed_h


def test_the_future_is_the_same_asked_for_at_once_or_bit_by_bit() -> None:
    story = Story((5.0, 9.0), (0.1, 0.9))
    at_once, bit_by_bit = draw(BEARING_CONVEYOR, story), draw(BEARING_CONVEYOR, story)

    for day in range(0, 700, 7):
        bit_by_bit.until(NOW_H + 24 * day)

    end_h = NOW_H + 24 * 700
    assert [life.stopped_h for life in at_once.until(end_h)] == [
        life.stopped_h for life in bit_by_bit.until(end_h)
    ]


def test_a_machine_stands_still_exactly_from_failure_to_repair() -> None:
    lives = draw(BEARING_CONVEYOR, Story((5.0, 9.0), (0.1, 0.9)))
    (life,) = lives.until(NOW_H)

    times = np.array([life.stopped_h - 0.01, life.stopped_h, life.resumed_h - 0.01, life.resumed_h])
    wear, is_standing = lives.state_at(times)

    assert is_standing.tolist() == [False, True, True, False]
    assert wear[0, 0] > 0.95
    assert wear[0, 3] == 0.0


def test_no_times_give_no_states() -> None:
    wear, is_standing = draw(BEARING_CONVEYOR, Story((5.0, 9.0), (0.1, 0.9))).state_at(np.empty(0))

    assert wear.size == is_standing.size == 0


def test_a_story_no_life_fits_is_refused() -> None:
    with pytest.raises(ScenarioError, match="widen the ranges of the story"):
        draw(BEARING_CONVEYOR, Story((0.5, 1.0), (0.0, 0.0)))


GAMMA = GammaWear((0.0, 0.0), 400.0, 0.0, power=1.6, jumps=60.0)
WIENER = WienerWear((0.0, 0.0), 450.0, 0.0, noise=0.3)
TWO_MODES = dataclasses.replace(
    BEARING_CONVEYOR, modes=(FailureMode("gamma", GAMMA), FailureMode("wiener", WIENER))
)
TWO_YEARS_H = 2 * 365 * 24.0


def left_to_chance(
    kind: MachineKind, policy: MaintenancePolicy, seed: int, *modes: str
) -> MachineLives:
    rng = np.random.default_rng(seed)
    return draw_lives(kind, None, rng, start_h=START_H, now_h=NOW_H, modes=modes, policy=policy)


def test_the_first_of_competing_modes_to_be_through_stops_the_machine() -> None:
    runs = [
        left_to_chance(TWO_MODES, MaintenancePolicy(), seed).until(START_H + 1.0)[0]
        for seed in range(1500)
    ]
    life_h = np.array([run.stopped_h - run.started_h for run in runs])
    is_gamma = np.array([run.failed_mode == 0 for run in runs])

    def gamma_cdf(age_h: np.ndarray) -> np.ndarray:
        shape = GAMMA.jumps * (age_h / GAMMA.growth_h) ** GAMMA.power
        return np.asarray(scipy.special.gammaincc(shape, GAMMA.jumps))

    shape_h = WIENER.growth_h / WIENER.noise**2
    wiener = scipy.stats.invgauss(WIENER.growth_h / shape_h, scale=shape_h)
    # Modes are independent: the machine survives if both do.
    test = scipy.stats.kstest(1.0 - (1.0 - gamma_cdf(life_h)) * wiener.sf(life_h), "uniform")
    grid_h = np.linspace(1.0, 1500.0, 30_001)
    middle_h = (grid_h[1:] + grid_h[:-1]) / 2
    gamma_first = float(np.sum(np.diff(gamma_cdf(grid_h)) * wiener.sf(middle_h)))

    assert test.pvalue > 0.01, test
    # Four standard errors of a share of 1500.
    assert is_gamma.mean() == pytest.approx(gamma_first, abs=4 * 0.5 / np.sqrt(1500))


POLICIES = st.builds(
    MaintenancePolicy,
    perfect_probability=st.floats(0.0, 0.5),
    imperfect_probability=st.floats(0.0, 0.5),
    planned_every_days=st.none() | st.floats(10.0, 60.0),
    planned_effect=st.none() | st.sampled_from(["perfect", "imperfect", "none"]),
    overhauls=st.booleans(),
)


@given(kind=st.sampled_from([*KINDS.values()]), policy=POLICIES, seed=st.integers(0, 10_000))
def test_service_leaves_the_wear_that_its_effect_says(
    kind: MachineKind, policy: MaintenancePolicy, seed: int
) -> None:
    runs = left_to_chance(kind, policy, seed).until(START_H + TWO_YEARS_H / 4)

    for run, following in itertools.pairwise(runs):
        assert run.started_h < run.stopped_h < run.resumed_h == following.started_h
        before = run.wear_at(np.array([run.stopped_h]))[:, 0]
        after = following.wear_at(np.array([following.started_h]))[:, 0]
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            has_failed = number == run.failed_mode
            is_touched = has_failed or run.failed_mode is None or policy.overhauls
            kept = run.service.kept_wear_ratio if is_touched else 1.0
            highest = PATCHED_WEAR if has_failed else 1.0
            assert new == pytest.approx(min(kept * old, highest), abs=1e-6)
        assert after.max() < 1.0


@given(
    kind=st.sampled_from([*KINDS.values()]),
    policy=POLICIES,
    seed=st.integers(0, 10_000),
    hours=st.lists(st.floats(-24.0, 2000.0), max_size=30),
)
def test_states_are_those_of_a_plain_walk_through_the_runs(
    kind: MachineKind, policy: MaintenancePolicy, seed: int, hours: list[float]
) -> None:
    time_h = START_H + np.array(hours, dtype=np.float64)
    wear, is_standing = left_to_chance(kind, policy, seed).state_at(time_h)

    plain = [state(left_to_chance(kind, policy, seed), at_h) for at_h in time_h.tolist()]

    assert wear.T.tolist() == [row for row, _ in plain]
    assert is_standing.tolist() == [is_one for _, is_one in plain]


def test_planned_visits_come_when_they_should_and_spare_failures() -> None:
    visited = MaintenancePolicy(planned_every_days=10.0, planned_standstill_h=3.0)
    n_failures = []
    for policy in (visited, MaintenancePolicy()):
        runs = [
            run
            for seed in range(20)
            for run in left_to_chance(TWO_MODES, policy, seed).until(START_H + TWO_YEARS_H)
        ]
        n_failures.append(sum(run.failed_mode is not None for run in runs))
        for run in runs:
            if run.failed_mode is None:
                assert run.stopped_h - run.started_h == pytest.approx(240.0)
                assert run.resumed_h - run.stopped_h == pytest.approx(3.0)

    assert n_failures[0] < n_failures[1] / 2


def test_a_planned_visit_may_see_to_some_modes_only() -> None:
    policy = MaintenancePolicy(planned_every_days=8.0, planned_modes=("wiener",))
    runs = left_to_chance(TWO_MODES, policy, 3).until(START_H + TWO_YEARS_H)

    planned = [pair for pair in itertools.pairwise(runs) if pair[0].failed_mode is None]
    for run, following in planned:
        before = run.wear_at(np.array([run.stopped_h]))[:, 0]
        after = following.wear_at(np.array([following.started_h]))[:, 0]
        assert after[0] == pytest.approx(before[0], abs=1e-6)
        assert after[1] == 0.0

    assert planned


def test_a_machine_suffers_only_from_the_modes_it_is_given() -> None:
    lives = left_to_chance(TWO_MODES, MaintenancePolicy(), 4, "wiener")

    wear, _ = lives.state_at(START_H + np.arange(0.0, TWO_YEARS_H, 12.0))

    assert {run.failed_mode for run in lives.until(START_H + TWO_YEARS_H)} == {1}
    assert wear[0].max() == 0.0
    assert wear[1].max() > 0.5


@pytest.mark.parametrize(
    ("modes", "policy"),
    [(("rust",), MaintenancePolicy()), ((), MaintenancePolicy(planned_modes=("rust",)))],
)
def test_a_mode_that_the_kind_has_not_is_refused(
    modes: tuple[str, ...], policy: MaintenancePolicy
) -> None:
    with pytest.raises(ScenarioError, match="has no 'rust'; choose among gamma, wiener"):
        left_to_chance(TWO_MODES, policy, 1, *modes)
