"""What is proposed for a server's variables can be put into a settings file."""

import datetime
import tomllib
from pathlib import Path

import pytest
from asyncua import ua
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import SettingsError
from edge_agent.keys import ensure_keys
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua_browse import FoundVariable
from edge_agent.sources.opcua_proposal import SUFFIX_BY_CODE, block, names_of
from edge_agent.trust_requests import accept, reject, shown_certificates
from ingest.telemetry import UNIT_BY_SUFFIX, is_legal_name
from simulators.units import _UNITS


def variable(*path: str, unit_code: str = "", unit_text: str = "") -> FoundVariable:
    number = int.from_bytes(unit_code.encode(), "big") if unit_code else -1
    return FoundVariable(
        ua.NodeId(ua.String("n/" + "/".join(path)), ua.Int16(2)),
        path,
        "urn:x",
        "Double",
        unit_text,
        number,
        is_number=True,
    )


@pytest.mark.parametrize(
    ("found", "machine", "signal", "unit"),
    [
        (variable("Press 04", "Vibration", unit_code="C16"), "Press_04", "vibration_mm_s", "mm/s"),
        (variable("press-04", "bearing_c"), "press-04", "bearing_c", "°C"),
        (variable("press-04", "press-04.load", unit_text="kN"), "press-04", "load_kn", "kN"),
        (variable("press-04.speed", unit_code="RPM"), "press-04", "speed_rpm", "1/min"),
        (variable("Halle", "Größe"), "Halle", "gr_e", None),
    ],
)
def test_names_follow_the_servers_and_end_in_the_unit(
    found: FoundVariable, machine: str, signal: str, unit: str | None
) -> None:
    assert names_of(found) == (machine, signal, unit)


@given(
    paths=st.lists(st.lists(st.text(max_size=80), min_size=1, max_size=3), max_size=6),
    codes=st.sampled_from(["", *SUFFIX_BY_CODE]),
)
def test_whatever_a_server_calls_its_nodes_the_block_is_legal(
    paths: list[list[str]], codes: str
) -> None:
    found = [variable(*path, unit_code=codes) for path in paths]

    document = tomllib.loads(block("hall-1", "opc.tcp://h:4840", "trusted", found))

    (server,) = document["opcua"]
    nodes = server.get("nodes", [])
    pairs = {(node["machine"], node["signal"]) for node in nodes}
    assert len(pairs) == len(nodes)
    assert all(is_legal_name(name) for pair in pairs for name in pair)
    if nodes:
        OpcuaSettings.model_validate(server)
    if codes:
        assert len(nodes) == len(found)


def test_codes_of_units_are_those_of_the_simulated_plant() -> None:
    theirs = {unit.unece_code: unit.text for unit in _UNITS.values() if unit.unece_code}

    assert {code: UNIT_BY_SUFFIX[SUFFIX_BY_CODE[code]] for code in theirs} == theirs


# --- trust on request ----------------------------------------------------------------------------


def test_a_certificate_is_trusted_and_rejected_by_its_fingerprint(tmp_path: Path) -> None:
    trusted, rejected = tmp_path / "trusted", tmp_path / "rejected"
    rejected.mkdir()
    keys, _ = ensure_keys(tmp_path / "server")
    (rejected / "shown.der").write_bytes(keys.certificate)
    (waiting,) = shown_certificates(trusted, rejected)

    accept(waiting.fingerprint[:23], trusted, rejected)

    (known,) = shown_certificates(trusted, rejected)
    assert (waiting.is_trusted, known.is_trusted) == (False, True)
    assert known.certificate.public_bytes(Encoding.DER) == keys.certificate
    assert "until" in known.words(datetime.datetime.now(datetime.UTC))
    reject(known.fingerprint, trusted, rejected)
    (again,) = shown_certificates(trusted, rejected)
    assert not again.is_trusted
    reject(again.fingerprint, trusted, rejected)
    assert list(shown_certificates(trusted, rejected)) == []


@pytest.mark.parametrize("prefix", ["00", "0011223344"])
def test_a_fingerprint_that_names_nothing_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(SettingsError, match="trust list"):
        accept(prefix, tmp_path / "trusted", tmp_path / "rejected")
