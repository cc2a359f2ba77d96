"""Shapes what is kept about machines into answers."""

from datetime import datetime
from typing import Final

import numpy as np

from api.evidence.edges import evidence_url, samples_id
from api.fitted import FittedModel
from api.health.judging import healthy_bands
from api.health.schemas import (
    AlarmReading,
    Contribution,
    HealthReading,
    LatestValue,
    ModelCard,
    RemainingLife,
    SamplesUsed,
    SurvivalPoint,
)
from api.registry.models import Alarm, HealthSnapshot
from api.snapshots import MONTH_H, failure_probability
from api.times import from_ns, to_ns
from ingest.telemetry import Series, TelemetryBatch, unit_of

QUALITY_WORDS: Final = ("good", "uncertain", "bad")


def health_reading(snapshot: HealthSnapshot) -> HealthReading:
    """Shape one health snapshot.

    Parameters
    ----------
    snapshot : HealthSnapshot
        As kept.

    Returns
    -------
    HealthReading
        As answered.
    """
    return HealthReading(
        snapshot_id=snapshot.id,
        evidence_url=evidence_url("health", snapshot.id),
        as_of=snapshot.as_of,
        computed_at=snapshot.computed_at,
        health_pct=snapshot.health_pct,
        anomaly_score_ratio=snapshot.anomaly_score,
        remaining_useful_life=RemainingLife(
            median_h=snapshot.remaining_useful_life_h,
            lower_h=snapshot.lower_h,
            upper_h=snapshot.upper_h,
        ),
        failure_probability_30d=failure_probability(snapshot.survival, MONTH_H),
        contributions=[
            Contribution(signal=signal, unit=unit_of(signal), robust_z=z)
            for signal, z in snapshot.contributions
        ],
        survival=[
            SurvivalPoint(ahead_h=ahead_h, survival_probability=running)
            for ahead_h, running in snapshot.survival
        ],
        samples=_samples_used(
            snapshot.machine_key, snapshot.samples_from, snapshot.samples_to, snapshot.n_samples
        ),
        note=snapshot.note,
        model_version=snapshot.model_version,
    )


def alarm_reading(alarm: Alarm) -> AlarmReading:
    """Shape one alarm.

    Parameters
    ----------
    alarm : Alarm
        As kept.

    Returns
    -------
    AlarmReading
        As answered.
    """
    return AlarmReading(
        key=alarm.key,
        evidence_url=evidence_url("alarm", alarm.key),
        machine_key=alarm.machine_key,
        signal=alarm.signal,
        unit=unit_of(alarm.signal),
        is_open=alarm.cleared_at is None,
        raised_at=alarm.raised_at,
        cleared_at=alarm.cleared_at,
        score_ratio=alarm.score,
        message=alarm.message,
        samples=_samples_used(alarm.machine_key, alarm.samples_from, alarm.samples_to, None),
        model_version=alarm.model_version,
    )


def _samples_used(
    machine_key: str, first_at: datetime, last_at: datetime, n_samples: int | None
) -> SamplesUsed:
    id_ = samples_id(machine_key, to_ns(first_at), to_ns(last_at))
    return SamplesUsed(
        evidence_id=id_,
        evidence_url=evidence_url("samples", id_),
        from_at=first_at,
        to_at=last_at,
        n_samples=n_samples,
    )


def latest_values(
    series: list[Series],
    latest: TelemetryBatch,
    snapshot: HealthSnapshot | None,
    fitted: FittedModel | None,
) -> list[LatestValue]:
    """Shape the newest samples of a machine.

    Parameters
    ----------
    series : list of Series
        Its series.
    latest : TelemetryBatch
        The newest sample of each that has one.
    snapshot : HealthSnapshot or None
        Newest judgement.
    fitted : FittedModel or None
        Health model of its kind.

    Returns
    -------
    list of LatestValue
        One for each series, in order.
    """
    z_of = {} if snapshot is None else dict(snapshot.contributions)
    band_of = {} if fitted is None else healthy_bands(fitted.model)
    row_of = {int(index): row for row, index in enumerate(latest.series_index)}
    values = []
    for place, one in enumerate(series):
        row = row_of.get(place)
        value = None if row is None else float(latest.value[row])
        centre, spread = band_of.get(one.signal, (None, None))
        values.append(
            LatestValue(
                signal=one.signal,
                unit=one.unit,
                at=None if row is None else from_ns(int(latest.source_time_ns[row])),
                value=value if value is not None and np.isfinite(value) else None,
                quality=None if row is None else QUALITY_WORDS[min(int(latest.quality[row]), 2)],
                healthy_centre=centre,
                healthy_spread=spread,
                robust_z=z_of.get(one.signal),
                samples_url=f"/v1/machines/{one.machine}/signals/{one.signal}/samples",
            )
        )
    return values


def model_card(fitted: FittedModel) -> ModelCard:
    """Shape how a health model was made.

    Parameters
    ----------
    fitted : FittedModel
        The model.

    Returns
    -------
    ModelCard
        As answered.
    """
    return ModelCard(
        kind=fitted.kind, version=fitted.version, created_at=fitted.created_at, card=fitted.card
    )
