"""Readers of the public sets that detectors are measured on."""

import csv
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from analytics.arrays import BoolArray, FloatArray

SKAB_TRAIN_ROWS = 400


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """Samples in the order of time, with the truth beside them."""

    name: str
    signals: tuple[str, ...]
    time_h: FloatArray
    values: FloatArray
    is_anomaly: BoolArray
    windows: tuple[tuple[int, int], ...] = ()
    begins_h: float = 0.0
    """Hour of the day of the first sample."""


def read_skab(folder: Path) -> list[LabelledSeries]:
    """Every experiment of one part of SKAB, such as valve1."""
    return [_read_skab_file(path) for path in sorted(_found(folder, "*.csv"), key=_number)]


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdigit() else -1


def _read_skab_file(path: Path) -> LabelledSeries:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter=";")
    values = np.array([[float(cell) for cell in row[1:]] for row in rows])
    at = [datetime.fromisoformat(row[0]).timestamp() / 3600 for row in rows]
    has_labels = "anomaly" in header
    n_signals = len(header) - (3 if has_labels else 1)
    return LabelledSeries(
        path.stem,
        tuple(header[1 : n_signals + 1]),
        np.array(at) - at[0],
        values[:, :n_signals],
        values[:, n_signals] > 0 if has_labels else np.zeros(len(rows), np.bool_),
    )


def read_tep(path: Path) -> FloatArray:
    """Rows of 52 variables; the normal run is stored lying on its side."""
    values = np.loadtxt(_existing(path))
    return values.T if values.shape[0] == 52 else values


def read_nab(folder: Path) -> list[LabelledSeries]:
    """Every series of the benchmark that is there, with its labelled windows."""
    windows = json.loads(_existing(folder / "labels" / "combined_windows.json").read_text())
    found = []
    for path in sorted(_found(folder / "data", "*/*.csv")):
        name = f"{path.parent.name}/{path.name}"
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        at = [datetime.fromisoformat(row[0]) for row in rows]
        spans = [
            tuple(datetime.fromisoformat(text.split(".")[0]) for text in window)
            for window in windows[name]
        ]
        is_anomaly = np.array([any(a <= one <= b for a, b in spans) for one in at])
        rows_of = [(at.index(first), at.index(last)) for first, last in spans]
        hours = np.array([(one - at[0]).total_seconds() / 3600 for one in at])
        values = np.array([[float(row[1])] for row in rows])
        begins_h = at[0].hour + at[0].minute / 60
        found.append(
            LabelledSeries(name, ("value",), hours, values, is_anomaly, tuple(rows_of), begins_h)
        )
    return found


def read_tsb(folder: Path) -> tuple[list[LabelledSeries], list[int], dict[str, list[float]]]:
    """The series, the length of each one's training part, and the published VUS-PR by detector."""
    with _existing(folder / "mapping.csv").open(newline="", encoding="utf-8") as file:
        mapping = list(csv.DictReader(file))
    arrays = np.load(folder / "tsb_nab_subset.npz")
    series = []
    for row in mapping:
        number = row["tsb_file"][:3]
        values = arrays[f"v{number}"].astype(np.float64).reshape(-1, 1)
        label = arrays[f"l{number}"].reshape(-1) > 0
        series.append(
            LabelledSeries(row["tsb_file"], ("value",), np.arange(1.0 * label.size), values, label)
        )
    with (folder / "published_vus_pr.csv").open(newline="", encoding="utf-8") as file:
        published = {row["file"]: row for row in csv.DictReader(file)}
    names = [row["tsb_file"] for row in mapping]
    detectors = list(published[names[0]])
    detectors = detectors[detectors.index("Sub-IForest") : detectors.index("ts_len")]
    scores = {one: [float(published[name][one]) for name in names] for one in detectors}
    return series, [int(row["train_len"]) for row in mapping], scores


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(2, "not there", str(path))
    return path


def _found(folder: Path, pattern: str) -> list[Path]:
    paths = list(_existing(folder).glob(pattern))
    if not paths:
        raise FileNotFoundError(2, "no file there", str(folder / pattern))
    return paths
