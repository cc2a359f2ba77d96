"""node-opcua's own sample address space, behind users: found, read, lost, and gone on with."""

import asyncio
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.keys import ensure_keys
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua_link import OpcuaLink
from simulators.loopback import free_port
from tests.integration.edge_fixtures import Cable, make_certificate
from tests.integration.opcua_reading import Reading, reading, until
from tests.servers.availability import ROOT, find_program

pytestmark = pytest.mark.server("node-opcua")

COUNT = "s=press-01.stroke_count"


@dataclass(frozen=True)
class Sample:
    """The server, and the agent's folders beside it."""

    endpoint: str
    namespace_uri: str
    port: int
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def said(self) -> dict[int, float]:
        """What it says it set: source time in ms and value."""
        rows = [
            line.split() for line in (self.folder / "peer" / "values.log").read_text().splitlines()
        ]
        return {int(time_ms): float(value) for value, time_ms in rows if time_ms}

    def settings(self, *nodes: dict[str, object], **server: object) -> OpcuaSettings:
        count = {"node_id": COUNT, "signal": "stroke_count", "unit": "1"}
        return OpcuaSettings.model_validate({
            "name": "sample",
            "endpoint": self.endpoint,
            "trusted_servers_dir": self.folder / "trusted",
            "publishing_interval_ms": 100.0,
            "user": "reader",
            "password_file": self.folder / "password",
            **server,
            "nodes": [
                {"namespace_uri": self.namespace_uri, "machine": "press-01", **node}
                for node in nodes or [count]
            ],
        })


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    folder, port = tmp_path_factory.mktemp("sample"), free_port()
    (folder / "peer").mkdir()
    script = ROOT / "tests" / "servers" / "opcua_sample_server.cjs"
    with (folder / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(
            [find_program("node") or "node", script, str(port), folder / "peer"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            said = next((line for line in process.stdout if line.startswith("READY ")), None)
            assert said is not None, (folder / "stderr.log").read_text()
            told = json.loads(said.removeprefix("READY "))
            (folder / "trusted").mkdir()
            certificate = x509.load_pem_x509_certificate(Path(told["certificate"]).read_bytes())
            der = certificate.public_bytes(Encoding.DER)
            (folder / "trusted" / "peer.der").write_bytes(der)
            (folder / "password").write_text("secret")
            yield Sample(told["endpoint"], told["namespaceUri"], port, folder)
        finally:
            process.terminate()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def sample(running: Sample) -> Iterator[Sample]:
    """The one server, and a state folder of its own for each test."""
    yield running
    shutil.rmtree(running.state, ignore_errors=True)


def counts(*kept: Reading) -> dict[int, float | None]:
    return {
        sample[2] // 1_000_000: sample[3]
        for it in kept
        for sample in it.kept.samples
        if sample[1] == "stroke_count"
    }


def assert_nothing_between_is_missing(sample: Sample, *kept: Reading) -> int:
    received = counts(*kept)
    first, last = min(received), max(received)
    expected = {time_ms: v for time_ms, v in sample.said().items() if first <= time_ms <= last}
    assert received == expected
    return len(received)


@pytest.mark.parametrize(
    "security",
    [
        "Basic256Sha256-SignAndEncrypt",
        "Aes128Sha256RsaOaep-SignAndEncrypt",
        "Aes256Sha256RsaPss-SignAndEncrypt",
    ],
)
def test_a_user_with_password_reads_over_every_policy(sample: Sample, security: str) -> None:
    async def run() -> None:
        async with reading(sample.settings(security=security), sample.state) as it:
            await until("values", lambda: len(counts(it)) >= 10)
            assert it.reasons == []

    asyncio.run(run())


def test_a_user_by_certificate_reads(sample: Sample) -> None:
    user, key = sample.folder / "user.der", sample.folder / "user.pem"
    make_certificate(user, key, "urn:a:person")
    settings = sample.settings(
        user=None, password_file=None, user_certificate_file=user, user_key_file=key
    )

    async def run() -> None:
        async with reading(settings, sample.state) as it:
            await until("values", lambda: len(counts(it)) >= 10)
            assert it.reasons == []

    asyncio.run(run())


def test_a_wrong_password_is_told_with_its_remedy(sample: Sample) -> None:
    wrong = sample.folder / "wrong"
    wrong.write_text("guess")

    async def run() -> None:
        async with reading(sample.settings(password_file=wrong), sample.state) as it:
            await until("refused", lambda: bool(it.reasons))
            assert "correct user and password_file" in it.reasons[0]
            assert it.kept.samples == []

    asyncio.run(run())


def test_a_cut_line_and_a_restart_of_the_agent_lose_nothing(sample: Sample) -> None:
    cable = Cable(sample.port)
    settings = sample.settings(
        endpoint=sample.endpoint.replace(str(sample.port), str(cable.port)), read_history=False
    )

    async def run() -> None:
        async with reading(settings, sample.state) as first:
            await until("values", lambda: len(counts(first)) >= 10)
            cable.cut()
            await until("noticed", lambda: bool(first.reasons))
            await asyncio.sleep(1.0)
            cable.mend()
            n_before = len(counts(first))
            await until("values again", lambda: len(counts(first)) >= n_before + 30)
            assert first.counters.gaps == first.counters.missed == 0
        await asyncio.sleep(1.0)
        async with reading(settings, sample.state) as second:
            await until("values", lambda: len(counts(second)) >= 30)
            assert second.counters.gaps == second.counters.missed == 0
        assert assert_nothing_between_is_missing(sample, first, second) >= 70

    try:
        asyncio.run(run())
    finally:
        cable.close()


def test_history_of_node_opcua_fills_what_it_forgot(sample: Sample) -> None:
    async def run() -> None:
        async with reading(sample.settings(), sample.state) as first:
            await until("values", lambda: len(counts(first)) >= 10)
            await until("written down", lambda: first.source._memory is not None)
        # As if the server had been short of memory: our session ends with all it had.
        memory = first.source._memory
        assert memory is not None
        other = OpcuaLink(sample.settings(), first.source.keys, sample.state)
        await other.resume(memory.token)
        await other.end()
        await asyncio.sleep(1.5)
        async with reading(sample.settings(), sample.state) as second:
            await until("history", lambda: second.counters.history >= 20)
            await until("values", lambda: len(counts(second)) >= 60)
            assert second.counters.gaps == 1
        assert assert_nothing_between_is_missing(sample, first, second) >= 60

    asyncio.run(run())


def test_a_percentage_needs_a_range_and_its_refusal_keeps_the_node(
    sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    load = {"node_id": "s=press-01.load", "signal": "load_pct", "unit": "%"}
    count = {"node_id": COUNT, "signal": "stroke_count", "unit": "1", "deadband_percent": 5.0}

    async def run() -> None:
        settings = sample.settings({**load, "deadband_percent": 5.0}, count)
        async with reading(settings, sample.state) as it:
            await until("values", lambda: len(counts(it)) >= 40)
            # It swings by half a percent of its range: one value, the first.
            assert sum(kept[1] == "load_pct" for kept in it.kept.samples) == 1

    asyncio.run(run())

    assert "to deadband_percent = 5, which needs the node's property EURange" in caplog.text


def test_what_browse_writes_is_read(sample: Sample) -> None:
    ensure_keys(sample.state)
    shutil.copytree(sample.folder / "trusted", sample.state / "pki" / "trusted")
    written = sample.state / "found.toml"
    command = [sys.executable, "-m", "edge_agent", "browse", sample.endpoint]
    command += ["--state-dir", str(sample.state), "--write", str(written), "--name", "sample"]
    command += ["--user", "reader", "--password-file", str(sample.folder / "password")]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    (server,) = tomllib.loads(written.read_text())["opcua"]
    credentials = {"user": "reader", "password_file": sample.folder / "password"}
    settings = OpcuaSettings.model_validate({**server, **credentials})
    found = {(node.machine, node.signal): node for node in settings.nodes}
    assert found[("press-01", "load_pct")].unit == "%"
    assert len(written.read_text().split("[[opcua.nodes]]")) > 100

    async def run() -> None:
        async with reading(settings, sample.state) as it:
            await until("values", lambda: len(counts(it)) >= 10)
            assert it.counters.bad_nodes == 0

    asyncio.run(run())
