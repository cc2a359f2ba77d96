"""What InfluxDB takes for legal line protocol, so do we, and nothing else."""

import random

import pytest
import urllib3

from ingest.telemetry import decode_lines
from tests.servers.launch import HttpServer

N_LINES = 2000

# Unsigned integers are off in InfluxDB 1, and it loses its way after two backslashes in a row;
# neither is in the pieces.
PIECES = [
    "m", "value", "site", "#", ",", "=", " ", "\\ ", "\\,", "\\=", '"', "1", "2.5", "5", "i", "t",
    ",x=1", "e", "-", "+", ".", "tRue", "False",
]  # fmt: skip


def random_line(chance: random.Random) -> str:
    def some(low: int, high: int) -> str:
        return "".join(chance.choice(PIECES) for _ in range(chance.randint(low, high)))

    if chance.random() < 0.5:
        return some(3, 14)
    return f"m,a=b{some(0, 4)} v=1{some(0, 4)}"


# Our own rules about meaning come after the grammar.
MEANING = ("the tag site is missing", "the tag machine is missing")


def is_legal_for_us(line: str) -> bool:
    decoded = decode_lines(line.encode(), received_at_ns=0)
    return all(rejected.reason in MEANING for rejected in decoded.rejected)


@pytest.mark.server("influxd")
def test_a_line_is_legal_for_us_exactly_if_it_is_for_influxdb(influxdb1_server: HttpServer) -> None:
    chance = random.Random(20260730)  # noqa: S311 - a corpus, not a secret
    disagreements = []
    with urllib3.PoolManager() as pool:
        url = f"{influxdb1_server.url}"
        pool.request("POST", f"{url}/query", fields={"q": "CREATE DATABASE grammar"})
        for _ in range(N_LINES):
            line = random_line(chance)
            answer = pool.request("POST", f"{url}/write?db=grammar", body=line.encode() + b"\n")
            # A field that changes its type is a matter of what was stored before, not of grammar.
            is_legal = answer.status == 204 or b"field type conflict" in answer.data
            if is_legal != is_legal_for_us(line):
                disagreements.append((line, is_legal, answer.data))

    assert disagreements == []
