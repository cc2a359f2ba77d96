"""Raw vibration of real bearings: measures as a plain loop takes them, and whole snapshots."""

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import DataFolderError
from simulators.replay.femto import SIGNALS, read_femto


def record(folder: Path, n: int = 4) -> Path:
    path = folder / "Bearing9_9.npz"
    counts = np.random.default_rng(1).integers(-3000, 3000, size=(n, 64, 2)).astype(np.int16)
    np.savez(path, x=counts, scale=0.002)
    return path


def test_measures_are_those_of_a_plain_loop_and_snapshots_come_whole(tmp_path: Path) -> None:
    path = record(tmp_path)
    counts = np.load(path)["x"]

    recording, raw = read_femto(path, most_rows=3)

    assert recording.machine == "femto-bearing9-9"
    assert recording.signals == SIGNALS
    assert len(recording.readings) == 3
    for row in range(3):
        expected = []
        for axis in range(2):
            values = [0.002 * int(count) for count in counts[row, :, axis]]
            mean = sum(values) / 64
            second = sum((value - mean) ** 2 for value in values) / 64
            fourth = sum((value - mean) ** 4 for value in values) / 64
            rms = math.sqrt(sum(value**2 for value in values) / 64)
            expected += [rms, max(abs(value) for value in values), fourth / second**2]
        assert recording.readings.values[row] == pytest.approx(expected)
    document = json.loads(raw.message(2, 77))
    block = np.frombuffer(base64.b64decode(document["counts"]), dtype="<i2").reshape(64, 2)
    assert np.array_equal(block, counts[2])
    assert (document["time_ns"], document["scale_g"], document["rate_hz"]) == (77, 0.002, 25_600)


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", y=np.zeros(3))
    np.savez(tmp_path / "flat.npz", x=np.zeros((3, 4), dtype=np.int16), scale=1.0)
    (tmp_path / "text.npz").write_text("no archive")

    for name, words in (
        ("nowhere.npz", "is not there"),
        ("other.npz", "holds no raw vibration"),
        ("text.npz", "holds no raw vibration"),
        ("flat.npz", "int16 .snapshots, samples, 2. expected"),
    ):
        with pytest.raises(DataFolderError, match=words):
            read_femto(tmp_path / name)


@pytest.mark.data("femto")
def test_the_real_bearing_ends_louder_than_it_begins(real_data: Path) -> None:
    recording, _ = read_femto(real_data / "femto" / "Bearing3_1_raw_int16.npz")

    rms_g = recording.readings.values[:, 0]
    assert rms_g.size == 515
    assert rms_g[-10:].mean() > 1.5 * rms_g[:50].mean()
