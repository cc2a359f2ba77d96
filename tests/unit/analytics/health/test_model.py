import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.arrays import DomainError, NotEnoughDataError
from analytics.health.indicator import health_indicator
from analytics.health.model import HealthModel, HealthSettings, RunToFailure, fit_health_model
from analytics.health.rul import RulEstimate, estimate_rul
from tests.unit.analytics.health.wearing import (
    QUICK,
    SIGNALS,
    STEP_H,
    as_block,
    fitted_model,
    wearing_units,
)

SEEN = [30, 50, 70]


def _estimate(model: HealthModel) -> RulEstimate:
    return estimate_rul(model, health_indicator(model, as_block(wearing_units(3, seed=77), SEEN)))


def _bits(model: HealthModel) -> str:
    return json.dumps(model.to_document(), sort_keys=True)


def test_units_in_any_order_give_the_same_model_to_the_last_bit() -> None:
    histories = wearing_units(12, seed=1)

    turned = fit_health_model("press", SIGNALS, histories[::-1], step_h=STEP_H, settings=QUICK)

    assert _bits(turned) == _bits(fitted_model())


def test_a_model_comes_back_from_json_to_the_last_bit() -> None:
    model = fitted_model()

    back = HealthModel.from_document(json.loads(json.dumps(model.to_document())))

    assert _bits(back) == _bits(model)
    assert back.settings == model.settings
    before, after = _estimate(model), _estimate(back)
    assert after.survival.tobytes() == before.survival.tobytes()
    assert after.median_h.tobytes() == before.median_h.tobytes()


@pytest.mark.parametrize("factor", [24.0, 0.1])
def test_lives_scale_with_the_unit_of_time(factor: float) -> None:
    model = fitted_model()
    slower = [
        replace(history, time_h=factor * history.time_h) for history in wearing_units(12, seed=1)
    ]

    scaled = fit_health_model("press", SIGNALS, slower, step_h=factor * STEP_H, settings=QUICK)

    usual, stretched = _estimate(model), _estimate(scaled)
    for name in ("median_h", "lower_h", "upper_h", "horizon_h"):
        np.testing.assert_allclose(
            getattr(stretched, name), factor * getattr(usual, name), rtol=1e-9, err_msg=name
        )
    np.testing.assert_allclose(stretched.survival, usual.survival, rtol=1e-9)
    assert scaled.card["rmse_h"] == pytest.approx(factor * model.card["rmse_h"])


def test_the_card_says_how_good_the_model_is_on_units_it_has_not_seen() -> None:
    histories = wearing_units(12, seed=1)

    card = fitted_model().card

    assert card["n_units"] == 12
    assert card["n_samples"] == sum(history.time_h.size for history in histories)
    assert 0 < card["rmse_h"] < 0.25 * card["median_life_h"]
    assert 0.65 <= card["coverage_ratio"] <= 0.95
    assert 0 < card["crps_h"] < card["rmse_h"] < card["median_life_h"]
    assert sum(card["damage_rise_by_signal"].values()) == pytest.approx(1.0, abs=0.2)
    assert "stuck_bar" not in card["damage_rise_by_signal"]


def test_intervals_of_unseen_units_hold_what_they_promise() -> None:
    # Few units make intervals too wide rather than too narrow; it takes dozens to be exact.
    model = fitted_model(48, seed=3)
    fresh = wearing_units(200, seed=99)
    rng = np.random.default_rng(5)
    n_seen = [int(rng.integers(24, history.time_h.size)) for history in fresh]

    estimate = estimate_rul(model, health_indicator(model, as_block(fresh, n_seen)))

    true_h = np.array([STEP_H * (h.time_h.size - n) for h, n in zip(fresh, n_seen, strict=True)])
    is_held = (estimate.lower_h <= true_h) & (true_h <= estimate.upper_h)
    assert 0.72 <= is_held.mean() <= 0.9


def test_the_version_changes_with_a_single_sample_and_with_a_setting() -> None:
    histories = wearing_units(4, seed=2)
    changed = [*histories[:-1], replace(histories[-1], values=histories[-1].values.copy())]
    changed[-1].values[3, 0] += 1e-9

    versions = {
        fit_health_model("press", SIGNALS, units, step_h=STEP_H, settings=how).version
        for units, how in (
            (histories, QUICK),
            (changed, QUICK),
            (histories, replace(QUICK, ridge=0.01)),
        )
    }

    assert len(versions) == 3
    assert all(len(version) == 16 for version in versions)


def test_short_lives_are_left_out_and_the_rest_is_fitted() -> None:
    histories = wearing_units(6, seed=2)
    short = RunToFailure("stub", np.arange(20.0), np.ones((20, 4)))

    model = fit_health_model("press", SIGNALS, [*histories, short], step_h=STEP_H, settings=QUICK)

    assert model.card["n_units"] == 6
    assert list(model.card["units_left_out"]) == ["stub"]
    assert model.life_h.size == 6


def test_units_that_miss_a_signal_are_left_out_and_said_so() -> None:
    histories = wearing_units(6, seed=2)
    histories[1].values[:, 0] = np.nan
    histories[4].values[:70, 1] = np.nan

    model = fit_health_model("press", SIGNALS, histories, step_h=STEP_H, settings=QUICK)

    n_steps = [history.time_h.size for history in histories]
    assert model.card["n_units"] == 4
    assert model.card["units_left_out"] == {
        "unit-01": f"vibration_mm_s is missing for the first {n_steps[1]} of {n_steps[1]} steps",
        "unit-04": f"temperature_c is missing for the first 70 of {n_steps[4]} steps",
    }


def test_histories_that_say_too_little_are_refused_with_the_reasons() -> None:
    histories = wearing_units(4, seed=2)
    for history in histories[:2]:
        history.values[:-20, 1] = np.nan

    with pytest.raises(NotEnoughDataError, match=r"2 usable.*unit unit-01: temperature_c"):
        fit_health_model("press", SIGNALS, histories, step_h=STEP_H, settings=QUICK)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), is_regime=st.booleans())
def test_any_pattern_of_gaps_gives_a_sound_model_or_a_reason(seed: int, is_regime: bool) -> None:
    rng = np.random.default_rng(seed)
    histories = wearing_units(5, seed, shortest=48)
    for history in histories:
        for column in range(4):
            history.values[
                rng.random(len(history.values)) < rng.choice([0.0, 0.4, 1.0]), column
            ] = rng.choice([np.nan, np.inf])
        history.values[-int(rng.integers(1, 20)) :] = np.nan
    how = replace(QUICK, regime_signals=("current_a",) if is_regime else ())

    try:
        model = fit_health_model("press", SIGNALS, histories, step_h=STEP_H, settings=how)
    except NotEnoughDataError:
        return

    document = json.loads(json.dumps(model.to_document(), allow_nan=False))
    estimate = _estimate(HealthModel.from_document(document))
    assert all(
        np.isfinite(median) or note is not None
        for median, note in zip(estimate.median_h, estimate.note, strict=True)
    )


def test_gaps_in_the_histories_are_bridged() -> None:
    rng = np.random.default_rng(3)
    holed = wearing_units(8, seed=4)
    for history in holed:
        history.values[rng.random(history.values.shape) < 0.15] = np.nan
        history.values[rng.random(len(history.values)) < 0.05] = np.nan

    model = fit_health_model("press", SIGNALS, holed, step_h=STEP_H, settings=QUICK)

    assert np.isfinite([model.card["rmse_h"], model.card["mean_width_h"]]).all()
    assert np.isfinite(model.library.trajectory).all()


def test_signals_that_say_nothing_of_wear_give_wide_answers_not_wrong_ones() -> None:
    rng = np.random.default_rng(6)
    deaf = [
        replace(history, values=rng.normal(size=history.values.shape))
        for history in wearing_units(10, seed=5)
    ]

    model = fit_health_model("press", SIGNALS, deaf, step_h=STEP_H, settings=QUICK)

    assert 0.65 <= model.card["coverage_ratio"] <= 0.95
    assert model.card["mean_width_h"] > 0.5 * model.card["median_life_h"]


def test_too_few_units_are_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="3 are needed"):
        fit_health_model("press", SIGNALS, wearing_units(2, seed=1), step_h=STEP_H)


def test_an_unknown_regime_signal_is_refused() -> None:
    how = HealthSettings(regime_signals=("speed_rpm",))

    with pytest.raises(DomainError, match="speed_rpm"):
        fit_health_model("press", SIGNALS, wearing_units(4, seed=1), step_h=STEP_H, settings=how)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bandwidths": ()},
        {"bandwidths": (0.0,)},
        {"start_ratios": (0.3,)},
        {"start_ratios": (0.0, 1.0)},
        {"healthy_ratio": 1.0},
        {"interval_ratio": 1.0},
        {"late_start_weight": -1.0},
        {"n_folds": 1},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(DomainError, match=next(iter(wrong)).rstrip("s")):
        HealthSettings(**wrong)  # type: ignore[arg-type]  # a wrong value on purpose


@pytest.mark.parametrize("change", [{"format": 99}, {"fusion": None}])
def test_a_document_of_another_kind_is_refused(change: dict[str, object]) -> None:
    document = fitted_model().to_document() | change
    if change.get("fusion", 0) is None:
        del document["fusion"]

    with pytest.raises(DomainError, match="fit the model again"):
        HealthModel.from_document(document)
