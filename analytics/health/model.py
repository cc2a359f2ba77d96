"""The health model of one kind of machine: fitting it, keeping it, and what it knows of itself."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from analytics.arrays import DomainError, FloatArray, NotEnoughDataError
from analytics.health.crossvalidation import CrossValidation, crossvalidate, trajectory_memory_steps
from analytics.health.fusion import Fusion
from analytics.health.fusion_fit import fit_standardiser
from analytics.health.histories import (
    MIN_UNITS,
    GriddedHistories,
    RunToFailure,
    grid_histories,
    too_few_units,
)
from analytics.health.packing import pack_array, pack_record, unpack_array, unpack_record
from analytics.health.settings import DEFAULT_SETTINGS, HealthSettings
from analytics.health.similarity import Kernel, Library

__all__ = ["DEFAULT_SETTINGS", "HealthModel", "HealthSettings", "RunToFailure", "fit_health_model"]

FORMAT: Final = 1
"""Raised whenever the method or the document changes; it is part of the version."""


@dataclass(frozen=True, slots=True, eq=False)
class HealthModel:
    """What was learned from machines of one kind that ran to failure.

    Parameters
    ----------
    kind : str
        Kind of machine.
    signals : tuple of str
        Signals it expects, in this order.
    step_h : float
        Step of its time grid. [h]
    settings : HealthSettings
        How it was fitted.
    version : str
        Hash of the data and the settings it was fitted from.
    card : dict
        Figures of unit-wise cross-validation and counts, for a person to read: ``rmse_h``,
        ``coverage_ratio``, ``mean_width_h``, ``crps_h``, ``n_units``, ``n_samples`` and more.
    life_h : ndarray of shape (n_units,)
        Lives of the units it was fitted from. [h]
    memory_steps : ndarray of shape (n_memories,)
        Memories by which machines are likened. [steps]
    stretch : float
        Calibration of the spread, see `analytics.health.similarity.LifeDistribution`.
    fusion : Fusion
        From signals to damage.
    library : Library
        Moments in the lives of the units.
    kernel : Kernel
        How alike two moments are.
    """

    kind: str
    signals: tuple[str, ...]
    step_h: float
    settings: HealthSettings
    version: str
    card: dict[str, Any]
    life_h: FloatArray
    memory_steps: FloatArray
    stretch: float
    fusion: Fusion
    library: Library
    kernel: Kernel

    @property
    def min_samples(self) -> int:
        """Samples that an estimate needs."""
        return self.settings.min_samples

    def to_document(self) -> dict[str, Any]:
        """Turn the model into plain data.

        Returns
        -------
        dict
            Takes JSON there and back without the loss of a bit.
        """
        return {
            "format": FORMAT,
            "kind": self.kind,
            "signals": list(self.signals),
            "step_h": self.step_h,
            "settings": asdict(self.settings),
            "version": self.version,
            "card": self.card,
            "life_h": pack_array(self.life_h),
            "memory_steps": pack_array(self.memory_steps),
            "stretch": self.stretch,
            "fusion": pack_record(self.fusion),
            "library": pack_record(self.library),
            "kernel": pack_record(self.kernel),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "HealthModel":
        """Undo `to_document`.

        Parameters
        ----------
        document : dict
            From `to_document`, perhaps by way of JSON.

        Returns
        -------
        HealthModel
            Gives the same answers to the last bit.

        Raises
        ------
        DomainError
            If it is of another format, incomplete or damaged.
        """
        found = document.get("format")
        if found != FORMAT:
            msg = (
                f"health model document: format {found} can't be read, this program reads "
                f"{FORMAT}; fit the model again"
            )
            raise DomainError(msg)
        try:
            return cls(
                kind=document["kind"],
                signals=tuple(document["signals"]),
                step_h=document["step_h"],
                settings=unpack_record(HealthSettings, document["settings"]),
                version=document["version"],
                card=document["card"],
                life_h=unpack_array(document["life_h"]),
                memory_steps=unpack_array(document["memory_steps"]),
                stretch=document["stretch"],
                fusion=unpack_record(Fusion, document["fusion"]),
                library=unpack_record(Library, document["library"]),
                kernel=unpack_record(Kernel, document["kernel"]),
            )
        except KeyError as error:
            msg = f"health model document: {error} is missing; fit the model again"
            raise DomainError(msg) from error


def fit_health_model(
    kind: str,
    signals: Sequence[str],
    histories: Sequence[RunToFailure],
    *,
    step_h: float,
    settings: HealthSettings = DEFAULT_SETTINGS,
) -> HealthModel:
    """Fit the health model of one kind of machine.

    Deviations of each signal from what is usual in early life are averaged over a short and a
    long memory and fused by ridge regression of a damage label, which is 0 for most of a life
    and rises in a straight line to 1 at its end. The damage of each unit, as seen by a fusion
    that did not know it, makes the library against which machines are likened. The label, the
    bandwidth and the spread of the intervals are chosen by unit-wise cross-validation. Chance
    has no part in it.

    Parameters
    ----------
    kind : str
        Kind of machine.
    signals : sequence of str
        Names of the columns of each history, each ending in its unit.
    histories : sequence of RunToFailure
        At least three units, each watched from new until it failed, in any order.
    step_h : float
        Step of the time grid on which the model works. [h]
    settings : HealthSettings
        Choices that are not learned.

    Returns
    -------
    HealthModel
        The same for any order of `histories`; lives scale with the unit of time.

    Raises
    ------
    DomainError
        If a regime signal is not among the signals.

    See Also
    --------
    analytics.health.histories.grid_histories : What else it refuses, and why.

    Examples
    --------
    >>> age_h = np.arange(200.0)
    >>> histories = [
    ...     RunToFailure(
    ...         unit=f"pump-{life}",
    ...         time_h=age_h[:life],
    ...         values=np.exp(4 * age_h[:life] / life)[:, np.newaxis]
    ...         + 0.1 * np.cos(age_h[:life])[:, np.newaxis],
    ...     )
    ...     for life in (120, 140, 160, 180, 200)
    ... ]
    >>> model = fit_health_model("pump", ["vibration_mm_s"], histories, step_h=1.0)
    >>> model.card["n_units"], model.card["rmse_h"] < 20
    (5, True)
    """
    unknown = [name for name in settings.regime_signals if name not in signals]
    if unknown:
        msg = (
            f"kind {kind}: regime signals {unknown} are not among {tuple(signals)}; name columns "
            "of the table"
        )
        raise DomainError(msg)
    # Half of the shortest useful life is seen before the first try, the other half to try on.
    shortest = 2 * settings.min_samples
    gridded = grid_histories(kind, signals, histories, step_h=step_h, min_samples=shortest)
    blank, gridded = _settled(kind, signals, gridded, settings, shortest)
    chosen = crossvalidate(blank, gridded.values, gridded.n_steps, settings)
    median_life_steps = float(np.median(gridded.n_steps))
    version = _version(kind, signals, gridded, step_h, settings)
    return HealthModel(
        kind=kind,
        signals=tuple(signals),
        step_h=float(step_h),
        settings=settings,
        version=version,
        card=_card(kind, signals, gridded, step_h, settings, version, chosen),
        life_h=gridded.n_steps.astype(np.float64) * step_h,
        memory_steps=trajectory_memory_steps(median_life_steps, settings),
        stretch=chosen.calibration.stretch,
        fusion=chosen.fusion,
        library=chosen.library,
        kernel=chosen.kernel,
    )


def _settled(
    kind: str,
    signals: Sequence[str],
    gridded: GriddedHistories,
    settings: HealthSettings,
    shortest: int,
) -> tuple[Fusion, GriddedHistories]:
    """Learn what is usual from units that all tell enough of the signals it takes.

    Raises
    ------
    NotEnoughDataError
        If fewer than three units do.
    """
    while True:
        blank = fit_standardiser(gridded.values, gridded.n_steps, signals, settings, kind=kind)
        telling = np.concatenate([blank.used, blank.regime])
        kept = gridded.without_silent_units(signals, telling, min_samples=shortest)
        if len(kept.units) < MIN_UNITS:
            raise NotEnoughDataError(too_few_units(kind, len(kept.units), kept.left_out))
        # With fewer units another set of signals may be of use, so look again.
        if kept.units == gridded.units:
            return blank, gridded
        gridded = kept


def _version(
    kind: str,
    signals: Sequence[str],
    gridded: GriddedHistories,
    step_h: float,
    settings: HealthSettings,
) -> str:
    """Hash of everything the model depends on."""
    names = [FORMAT, kind, list(signals), list(gridded.units), float(step_h), asdict(settings)]
    digest = hashlib.sha256(json.dumps(names).encode())
    digest.update(gridded.n_steps.astype("<i8").tobytes())
    digest.update(gridded.values.astype("<f8").tobytes())
    return digest.hexdigest()[:16]


def _card(
    kind: str,
    signals: Sequence[str],
    gridded: GriddedHistories,
    step_h: float,
    settings: HealthSettings,
    version: str,
    chosen: CrossValidation,
) -> dict[str, Any]:
    """Collect what a person should know before trusting the model."""
    calibration = chosen.calibration
    return {
        "kind": kind,
        "version": version,
        "method": "similarity of fused damage to run-to-failure lives",
        "step_h": float(step_h),
        "n_units": len(gridded.units),
        "n_samples": int(np.isfinite(gridded.values).any(axis=1).sum()),
        "units_left_out": gridded.left_out,
        "median_life_h": float(np.median(gridded.n_steps)) * step_h,
        "rmse_h": calibration.rmse_steps * step_h,
        "crps_h": calibration.crps_steps * step_h,
        "coverage_ratio": calibration.coverage_ratio,
        "interval_ratio": settings.interval_ratio,
        "mean_width_h": calibration.mean_width_steps * step_h,
        "n_cases": calibration.n_cases,
        "label_h": chosen.label_ratio * float(np.median(gridded.n_steps)) * step_h,
        "bandwidth": chosen.kernel.bandwidth,
        "stretch": calibration.stretch,
        "damage_rise_by_signal": {
            signals[int(i)]: float(rise)
            for i, rise in zip(chosen.fusion.used, chosen.rise_by_signal, strict=True)
        },
    }
