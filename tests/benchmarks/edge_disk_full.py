"""A small disk filled and freed again and again, and a thousand flipped bits."""

import tempfile
from pathlib import Path
from typing import Any, Final

from edge_agent.outbox import Outbox
from tests.benchmarks.common import report
from tests.reliability.bit_rot import try_flips
from tests.reliability.full_disk import Filler, Site, may_mount, quiet, small_disk

N_ROUNDS: Final = 10
N_FLIPS: Final = 1000
CAP_BYTES: Final = 4_000_000


def run(data: Path) -> dict[str, Any]:
    """Both."""
    if not may_mount():
        msg = "edge_disk_full: mounting a small disk needs root"
        raise SystemExit(msg)
    with tempfile.TemporaryDirectory() as folder:
        figures = full(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        outcomes = try_flips(Path(folder), N_FLIPS)
    figures |= {
        "flips": float(N_FLIPS),
        "flips_wrong_values": float(outcomes["wrong"]),
        "flips_crash_loops": float(outcomes["crash loop"]),
        "flips_damaged_records": float(outcomes["damaged record"]),
        "flips_files_set_aside": float(outcomes["file set aside"]),
    }
    for name, value in figures.items():
        print(f"{name:36} {value:10.6g}")
    return report(
        "edge_disk_full",
        figures,
        targets=[
            ("samples_unaccounted", "<=", 0),
            ("alarms_given_up", "<=", 0),
            ("records_sent_while_full", ">=", 1),
            ("flips_wrong_values", "<=", 0),
            ("flips_crash_loops", "<=", 0),
        ],
    )


def full(folder: Path) -> dict[str, float]:
    """Fill the disk, go on, send, free it, go on; each round with an exact account."""
    n_sent_while_full = n_unaccounted = 0
    with small_disk(folder / "disk") as disk, quiet():
        filler = Filler(disk / "another-program")
        with Outbox(disk / "outbox.sqlite", CAP_BYTES) as outbox:
            site = Site(outbox)
            for _ in range(N_ROUNDS):
                for number in range(120):
                    site.sense("alarm" if number % 10 == 0 else "raw")
                filler.fill()
                for number in range(120):
                    site.sense("alarm" if number % 10 == 0 else "raw")
                n_sent_while_full += sum(site.send() for _ in range(10))
                n_unaccounted += not site.is_exact()
                filler.free()
            site.sense()
            while site.send():
                pass
            n_unaccounted += not site.is_exact()
            dropped = outbox.counts().n_dropped_samples
    return {
        "rounds": float(N_ROUNDS),
        "samples_sensed": float(site.tally.sensed),
        "samples_sent": float(site.tally.sent),
        "samples_dropped": float(dropped),
        "samples_unaccounted": float(
            abs(site.tally.sensed - site.tally.sent - dropped - site.tally.waited)
        ),
        "rounds_not_exact": float(n_unaccounted),
        "alarms_given_up": float(len(site.alarms_sensed - site.arrived)),
        "records_sent_while_full": float(n_sent_while_full),
        "writes_refused": float(site.tally.n_refused_writes),
    }
