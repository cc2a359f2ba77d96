"""A full disk: no crash, what waits is sent while it is full, and every sample is accounted for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.errors import OutboxError
from edge_agent.outbox import Outbox
from tests.reliability.full_disk import Filler, Site, may_mount, quiet, small_disk

pytestmark = pytest.mark.skipif(not may_mount(), reason="only root may mount a small disk")

CAP = 4_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder, quiet():
        yield folder


def test_a_disk_filled_by_another_is_drained_while_full_and_used_again_when_freed(
    disk: Path,
) -> None:
    filler = Filler(disk / "another-program")
    with Outbox(disk / "outbox.sqlite", CAP) as outbox:
        site = Site(outbox)
        for number in range(200):
            site.sense("alarm" if number % 10 == 0 else "raw")
        before_full = outbox.counts()
        filler.fill()
        for number in range(150):
            site.sense("alarm" if number % 10 == 0 else "raw")
        while_full = outbox.counts()
        n_sent_while_full = sum(site.send() for _ in range(20))
        assert site.is_exact()
        filler.free()
        for _ in range(100):
            site.sense()
        assert site.keep()
        while site.send():
            pass
        after = outbox.counts()

        assert site.is_exact()
        assert before_full.n_dropped_samples == 0
        assert while_full.is_disk_full
        assert while_full.n_dropped_samples > 0, "what came was kept, in place of older samples"
        assert n_sent_while_full > 50
        assert not after.is_disk_full
        assert site.alarms_sensed <= site.arrived, "no alarm was given up while raw samples were"


def test_an_outbox_that_never_had_room_waits_and_starts_when_there_is_some(disk: Path) -> None:
    filler = Filler(disk / "another-program")
    filler.fill()
    with pytest.raises(OutboxError, match="see that"):
        Outbox(disk / "outbox.sqlite", CAP)
    filler.free()

    with Outbox(disk / "outbox.sqlite", CAP) as outbox:
        site = Site(outbox)
        site.sense()

        assert site.send() == 1


def test_a_disk_smaller_than_the_cap_is_never_filled_to_the_brim(disk: Path) -> None:
    with Outbox(disk / "outbox.sqlite", 50_000_000) as outbox:
        site = Site(outbox)
        for _ in range(1500):
            site.sense()
        assert site.is_exact()
        n_sent = sum(site.send() for _ in range(10))

        assert site.is_exact()
        assert n_sent > 0
        assert outbox.counts().n_dropped_samples > 0
