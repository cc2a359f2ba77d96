"""Slow, obvious versions of `ingest.rollups` and of `ingest.adapters.columns.step_means`."""

import math

from ingest.telemetry import Series, TelemetryBatch

Step = tuple[Series, int, int, int, str, str, str, str]


def roll_up(batch: TelemetryBatch, step_ns: int) -> list[Step]:
    """Steps of a minute or an hour; an hour adds the sums of its minutes."""
    minute_ns = 60_000_000_000
    cells: dict[tuple[Series, int], list[tuple[int, float, int]]] = {}
    for row, time_ns, value, quality in zip(
        batch.series_index.tolist(),
        batch.source_time_ns.tolist(),
        batch.value.tolist(),
        batch.quality.tolist(),
        strict=True,
    ):
        key = (batch.series[row], time_ns // step_ns * step_ns)
        cells.setdefault(key, []).append((time_ns, value, quality))
    steps = []
    for (series, start_ns), samples in cells.items():
        good = [(t, v) for t, v, quality in sorted(samples) if quality == 0 and math.isfinite(v)]
        total = 0.0
        for minute in sorted({t // minute_ns for t, _ in good}):
            of_minute = 0.0
            for t, v in good:
                if t // minute_ns == minute:
                    of_minute += v
            total = of_minute if step_ns == minute_ns else total + of_minute
        numbers = [v for _, v in good] or [math.nan]
        steps.append((
            series,
            start_ns,
            len(good),
            len(samples) - len(good),
            repr(min(numbers) + 0.0),
            repr(max(numbers) + 0.0),
            repr(numbers[-1] + 0.0),
            repr(total + 0.0),
        ))
    order = {series: row for row, series in enumerate(batch.series)}
    return sorted(steps, key=lambda step: (order[step[0]], step[1]))


def step_means(
    batch: TelemetryBatch, start_ns: int, step_ns: int, n_steps: int
) -> list[list[tuple[str, int]]]:
    """Mean and count of the good samples of each step and series."""
    means = []
    for step in range(n_steps):
        row_of_step = []
        for row in range(len(batch.series)):
            good = sorted(
                (time_ns, value)
                for index, time_ns, value, quality in zip(
                    batch.series_index.tolist(),
                    batch.source_time_ns.tolist(),
                    batch.value.tolist(),
                    batch.quality.tolist(),
                    strict=True,
                )
                if index == row
                and quality == 0
                and math.isfinite(value)
                and start_ns + step * step_ns <= time_ns < start_ns + (step + 1) * step_ns
            )
            total = 0.0
            for _, value in good:
                total += value
            row_of_step.append((repr(total / len(good) + 0.0) if good else "nan", len(good)))
        means.append(row_of_step)
    return means
