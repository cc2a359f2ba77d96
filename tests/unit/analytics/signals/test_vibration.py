import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError, ShapeError
from analytics.signals.envelope import (
    amplitude_at_orders,
    bearing_orders,
    envelope_spectrum,
    kurtogram,
)
from analytics.signals.spectra import cepstrum, stft_bands, welch
from analytics.signals.vibration import resample_to_turns, time_features
from tests.naive import vibration as naive

RATE_HZ = 8192.0


def _knocking(order: float, shaft_hz: float, seed: int = 1, n: int = 16384) -> FloatArray:
    """A bearing that rings at 2.5 kHz at every knock, in noise twice as strong."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n) / RATE_HZ
    since_knock = (time_s * order * shaft_hz) % 1.0 / (order * shaft_hz)
    ringing = np.exp(-800.0 * since_knock) * np.sin(2 * np.pi * 2500.0 * since_knock)
    noisy: FloatArray = ringing + 2 * ringing.std() * rng.normal(size=n)
    return noisy


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), n=st.integers(16, 60))
def test_welch_is_the_sum_written_out(seed: int, n: int) -> None:
    x = 30.0 + np.random.default_rng(seed).normal(size=n)

    _, density = welch(x, 100.0, segment=16)

    np.testing.assert_allclose(density, naive.welch(x.tolist(), 100.0, 16), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_welch_gives_the_numbers_of_scipy(dtype: type[np.floating]) -> None:
    x = np.random.default_rng(2).normal(size=(5, 3, 5000)).astype(dtype)

    lines, density = welch(x, RATE_HZ, segment=512)

    their_lines, theirs = signal.welch(x.astype(np.float64), RATE_HZ, nperseg=512)
    assert density.dtype == dtype
    np.testing.assert_array_equal(lines, their_lines)
    np.testing.assert_allclose(density, theirs, rtol=2e-6 if dtype == np.float32 else 1e-12)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_envelope_is_the_one_of_the_whole_band(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=128)

    _, amplitude = envelope_spectrum(x, 128.0, (20.0, 45.0))

    slow = naive.envelope_spectrum(x.tolist(), 128.0, (20.0, 45.0))
    np.testing.assert_allclose(amplitude, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", [3.6, 5.4, 2.4])
def test_the_envelope_peaks_at_the_order_that_knocks(order: float) -> None:
    x = _knocking(order, shaft_hz=25.0)

    lines, amplitude = envelope_spectrum(x, RATE_HZ, (2000.0, 3000.0))

    peak_hz = lines[5:][amplitude[5:].argmax()]
    assert peak_hz == pytest.approx(order * 25.0, abs=1.0)


def test_the_faulty_part_of_a_bearing_stands_out() -> None:
    orders = bearing_orders(9, 0.2)
    x = _knocking(orders.bpfi, shaft_hz=25.0)
    lines, amplitude = envelope_spectrum(x, RATE_HZ, (2000.0, 3000.0))

    heights = amplitude_at_orders(lines, amplitude, 25.0, orders)

    assert max(heights, key=lambda name: float(heights[name])) == "bpfi"


def test_orders_are_those_of_a_known_bearing() -> None:
    # SKF 6205-2RS JEM as published with the Case Western Reserve data: 9 balls, 7.94 and 39.04 mm.
    orders = bearing_orders(9, 7.94 / 39.04)

    assert orders.bpfo == pytest.approx(3.5848, abs=1e-3)
    assert orders.bpfi == pytest.approx(5.4152, abs=1e-3)
    assert orders.ftf == pytest.approx(0.39828, abs=1e-4)
    assert 2 * orders.bsf == pytest.approx(4.7135, abs=2e-3)


def test_the_kurtogram_finds_the_band_that_rings() -> None:
    best, levels = kurtogram(_knocking(3.6, 25.0), RATE_HZ)

    assert best.low_hz <= 2500.0 <= best.high_hz
    assert best.kurtosis == max(level.max() for level in levels)


def test_spectral_kurtosis_is_the_bare_definition() -> None:
    x = np.random.default_rng(3).normal(size=256)

    _, levels = kurtogram(x, 256.0, n_levels=2)

    np.testing.assert_allclose(levels[0], naive.spectral_kurtosis(x, 2), rtol=1e-6)
    np.testing.assert_allclose(levels[-1], naive.spectral_kurtosis(x, 4), rtol=1e-6)


@given(seed=st.integers(0, 10_000), shift=st.floats(-100.0, 100.0), factor=st.floats(0.01, 100.0))
def test_time_features_are_the_moments_and_follow_scale(
    seed: int, shift: float, factor: float
) -> None:
    x = np.random.default_rng(seed).standard_t(5, size=(3, 200))

    found = time_features(x)
    moved = time_features(x * factor + shift)

    for name, value in naive.time_features(x[1].tolist()).items():
        assert getattr(found, name)[1] == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(moved.rms, found.rms * factor, rtol=1e-6)
    np.testing.assert_allclose(moved.kurtosis, found.kurtosis, rtol=1e-4)


def test_constant_and_missing_channels_have_documented_answers() -> None:
    x = np.ones((2, 100))
    x[1, 5] = np.nan

    found = time_features(x)

    assert found.rms[0] == found.crest[0] == found.kurtosis[0] == 0.0
    assert np.isnan(found.rms[1])
    assert np.isnan(found.kurtosis[1])
    assert np.isnan(welch(np.where(np.arange(64) == 3, np.nan, 1.0), 1.0, segment=16)[1]).all()


@given(seed=st.integers(0, 10_000))
def test_channels_in_any_order_have_the_same_spectra(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(6, 256)).astype(np.float32)
    order = np.random.default_rng(seed).permutation(6)

    np.testing.assert_array_equal(
        welch(x[order], 1.0, segment=64)[1], welch(x, 1.0, segment=64)[1][order]
    )
    np.testing.assert_allclose(
        envelope_spectrum(x[order], 256.0, (40.0, 90.0))[1],
        envelope_spectrum(x, 256.0, (40.0, 90.0))[1][order],
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_bands_share_out_the_variance_of_each_segment() -> None:
    x = np.random.default_rng(4).normal(size=40_000)

    power = stft_bands(x, 1000.0, np.array([0.0, 100.0, 300.0, 501.0]), segment=256)

    assert power.sum(axis=1).mean() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(power.mean(axis=0), [0.2, 0.4, 0.4], atol=0.02)


def test_a_family_of_harmonics_becomes_one_peak() -> None:
    time_s = np.arange(8192) / RATE_HZ
    family = sum(np.cos(2 * np.pi * 32 * k * time_s + k**2) for k in range(5, 90))
    noisy = family + 0.01 * np.random.default_rng(1).normal(size=8192)

    quefrency = int(cepstrum(noisy)[50:400].argmax()) + 50

    assert RATE_HZ / quefrency == pytest.approx(32.0, abs=0.5)


def test_order_tracking_holds_an_order_still_while_speed_changes() -> None:
    time_s = np.linspace(0.0, 4.0, 60_000)
    angle = 8.0 * time_s + 4.0 * time_s**2
    marks = np.interp(np.arange(0.0, 90.0), angle, time_s)
    x = np.sin(2 * np.pi * 3.6 * angle)

    even = resample_to_turns(x, time_s, marks)

    orders = np.arange(even.size // 2 + 1) / 89
    assert orders[np.abs(np.fft.rfft(even)).argmax()] == pytest.approx(3.6, abs=0.02)


def test_what_can_not_be_analysed_is_refused() -> None:
    with pytest.raises(NotEnoughDataError, match="100 of 1024 samples"):
        welch(np.zeros(100), 1.0)
    with pytest.raises(DomainError, match="even"):
        welch(np.zeros(100), 1.0, segment=9)
    with pytest.raises(DomainError, match="half the sampling rate"):
        envelope_spectrum(np.zeros(100), 100.0, (20.0, 60.0))
    with pytest.raises(NotEnoughDataError, match="8 lines"):
        envelope_spectrum(np.zeros(100), 100.0, (20.0, 22.0))
    with pytest.raises(NotEnoughDataError, match="levels"):
        kurtogram(np.zeros(100), 1.0)
    with pytest.raises(DomainError, match="do not rise"):
        stft_bands(np.zeros(2000), 1.0, np.array([0.2, 0.1]))
    with pytest.raises(DomainError, match="at least 2 balls"):
        bearing_orders(1, 0.2)
    with pytest.raises(ShapeError, match="a time per sample"):
        resample_to_turns(np.zeros(5), np.arange(4.0), np.arange(2.0))
    with pytest.raises(DomainError, match="do not rise"):
        resample_to_turns(np.zeros(5), np.zeros(5), np.arange(2.0))
    with pytest.raises(DomainError, match="within the recording"):
        resample_to_turns(np.zeros(5), np.arange(5.0), np.array([3.0, 9.0]))
