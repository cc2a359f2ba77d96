"""Alarms arrive within seconds, whatever the backlog does: a small size of `edge_recovery`."""

import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.settings_uplink import UplinkSettings
from tests.reliability.alarm_drain import HangingStore, alarms_seen_in_influxdb, drain, fill
from tests.servers.launch import HttpServer

MOST_LATENCY_S = 5.0


@pytest.mark.server("influxd")
def test_alarms_pass_a_backlog_that_drains_into_influxdb(
    influxdb1_server: HttpServer, tmp_path: Path, show: Callable[[str], None]
) -> None:
    query = urllib.parse.urlencode({"q": 'CREATE DATABASE "alarms"'}).encode()
    urllib.request.urlopen(f"{influxdb1_server.url}/query", query, timeout=30).close()
    uplink = UplinkSettings(url=influxdb1_server.url, write_api="influxdb1", bucket="alarms")
    n_backlog = fill(tmp_path / "outbox.sqlite", hours=0.25)

    with alarms_seen_in_influxdb(influxdb1_server.url, "alarms") as seen:
        outcome = drain(tmp_path / "outbox.sqlite", n_backlog, uplink, seen, seconds=6.0)

    show(
        f"alarms first: {outcome.drained_per_s:.0f} samples/s drained, "
        f"latency at most {max(outcome.latency_s):.2f} s"
    )
    assert max(outcome.latency_s) <= MOST_LATENCY_S
    assert len(outcome.latency_s) >= 6


def test_alarms_arrive_while_the_request_of_the_backlog_hangs(tmp_path: Path) -> None:
    store = HangingStore()
    (tmp_path / "token").write_text("t")
    uplink = UplinkSettings(url=store.url, token_file=tmp_path / "token")
    n_backlog = fill(tmp_path / "outbox.sqlite", hours=0.05)

    outcome = drain(
        tmp_path / "outbox.sqlite", n_backlog, uplink, lambda: dict(store.seen), seconds=4.0
    )
    store.close()

    assert store.n_hanging == 1
    assert max(outcome.latency_s) <= MOST_LATENCY_S
