"""A recorded table plays over a real broker: every sample once, and no label among them."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from simulators.keys import make_identity

pytestmark = pytest.mark.timeout(90)
MAPPING = """
description = "own"
kind = "press"
step_s = 60.0
labels = { fault = "fault" }
[signals]
force_kn = { column = "F" }
oil_temperature_c = { column = "T" }
"""
N_ROWS = 150


def test_every_row_is_heard_once(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MAPPING)
    rows = [(1000.0 + n, 40.0 + n / 100, int(n > 100)) for n in range(N_ROWS)]
    lines = ["F,T,fault", *(f"{f},{t},{label}" for f, t, label in rows)]
    (tmp_path / "line-4.csv").write_text("\n".join(lines) + "\n")
    client = make_identity(tmp_path / "client", "urn:test", is_client=True)
    folder = tmp_path / "play"
    command = [
        sys.executable, "-m", "simulators", "replay", "file", "--dir", str(folder),
        "--data", str(tmp_path / "line-4.csv"), "--mapping", str(tmp_path / "own.toml"),
        "--rows-per-s", "300", "--trust-client", str(client.certificate),
    ]  # fmt: skip
    player = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        heard = listen(folder, player)
        printed, _ = player.communicate(timeout=30)
    finally:
        player.kill()
        player.communicate()

    values = [json.loads(payload)["values"] for payload in heard]
    assert sorted(value["force_kn"] for value in values) == [f for f, _, _ in rows]
    assert all(set(value) == {"force_kn", "oil_temperature_c"} for value in values)
    times = sorted(json.loads(payload)["time_ns"] for payload in heard)
    assert {b - a for a, b in itertools.pairwise(times)} == {60 * 10**9}
    assert f"all {2 * N_ROWS} samples of 1 machines were taken" in printed
    truth = json.loads((folder / "truth.jsonl").read_text())
    assert truth["label"] == "fault"
    assert truth["times_ns"] == times[101:]


def listen(folder: Path, player: "subprocess.Popen[str]") -> list[bytes]:
    while not (folder / "plant.json").exists():
        assert player.poll() is None, player.communicate()
        time.sleep(0.05)
    broker = json.loads((folder / "plant.json").read_text())["mqtt"]
    heard: list[bytes] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(broker["user"], Path(broker["password_file"]).read_text().strip())
    client.on_message = lambda _c, _d, message: heard.append(bytes(message.payload))
    client.connect(broker["host"], broker["port"])
    client.loop_start()
    client.subscribe("plant/#", qos=1)
    deadline_s = time.monotonic() + 20
    while len(heard) < N_ROWS and time.monotonic() < deadline_s:
        time.sleep(0.05)
    client.disconnect()
    client.loop_stop()
    return heard
