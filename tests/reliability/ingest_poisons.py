"""Bodies with one bad line: what is stored is read back, what is set aside must say why."""

import random
from dataclasses import dataclass
from pathlib import Path

from ingest.adapters.duckdb_store import DuckDBStore
from ingest.catalogue import FileCatalogue
from ingest.quarantine import Quarantine
from ingest.service import IngestService
from ingest.telemetry import Series
from ingest.tokens import TokenTable

N_LINES = 1000
NOW_NS = 1_700_000_000_000_000_000
FLOW = Series("mill-7", "pump-01", "flow_m3_h")
HEAD = "telemetry,site=mill-7,machine=pump-01,signal=flow_m3_h"

POISONS = {
    f"{HEAD} value=fast,quality=0i {{t}}": "neither a number",
    f"{HEAD} value=NaN,quality=0i {{t}}": "no number that line protocol knows",
    f"{HEAD} value=1e999,quality=0i {{t}}": "larger than a float64",
    f"{HEAD} value=1.5,quality=7i {{t}}": "quality 7 is none of",
    f'{HEAD} value="open {{t}}': "the quote is not closed",
    f"{HEAD} value=1.5 99999999999999999999": "lies outside the years",
    f"{HEAD} value=1.5 7": "days in the past",
    f"{HEAD} value=1.5 {NOW_NS + 10**15}": "s in the future",
    "telemetry,site=mill-7,machine=pump-99,signal=flow_m3_h value=1 {t}": "unknown machine pump-99",
    "telemetry,site=mill-7,signal=flow_m3_h value=1 {t}": "the tag machine is missing",
    r"telemetry,site=mill-7,machine=a\,tenant\=b,signal=flow_m3_h value=1 {t}": "not a legal name",
    "complete nonsense": "a field should begin",
    "\udcff\udcfe": "not UTF-8",
}
"""Lines that can't be taken, and words of the reason that is due."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of all bodies together."""

    n_stored: int
    n_set_aside: int
    n_with_reason: int
    n_kinds: int


def poison(folder: Path, n_times: int, chance: random.Random) -> Found:
    """Send bodies of a thousand lines, each with one bad one at a random place."""
    (folder / "machines.csv").write_text("machine\npump-01\n")
    n_stored = n_with_reason = 0
    kinds = list(POISONS.items())
    with (
        DuckDBStore(folder / "telemetry.duckdb") as store,
        Quarantine(folder / "quarantine.sqlite") as quarantine,
    ):
        service = IngestService(
            store,
            quarantine,
            FileCatalogue(folder / "machines.csv"),
            lambda: NOW_NS,
            TokenTable({}),
        )
        for number in range(n_times):
            first_ns = NOW_NS - (number + 1) * N_LINES * 1000
            place = chance.randrange(N_LINES)
            line, reason = kinds[number % len(kinds)]
            lines = [f"{HEAD} value={k}.5,quality=0i {first_ns + 1000 * k}" for k in range(N_LINES)]
            lines[place] = line.replace("{t}", str(first_ns + 1000 * place))
            body = "\n".join(lines).encode("utf-8", "surrogateescape")
            service.ingest(body, precision="ns", device="mill-7")

            stored = store.read([FLOW], first_ns, first_ns + N_LINES * 1000)
            expected = [first_ns + 1000 * k for k in range(N_LINES) if k != place]
            n_stored += len(set(stored.source_time_ns.tolist()) & set(expected))
            newest = quarantine.lines(limit=1)[0]
            n_with_reason += reason in newest.reason and newest.id == number + 1
        n_set_aside = quarantine.count().n_kept
    return Found(n_stored, n_set_aside, n_with_reason, min(len(kinds), n_times))
