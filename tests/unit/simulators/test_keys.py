"""Servers keep their keys to themselves, and trust only who was named."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from simulators.errors import ScenarioError
from simulators.keys import make_identity, trust_clients, write_private
from simulators.loopback import free_port
from simulators.mqtt.broker import Broker

URI = "urn:staybolt:simulated-plant:test"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_certificate_is_what_opc_ua_asks_of_a_server(tmp_path: Path) -> None:
    identity = make_identity(tmp_path / "pki" / "test", URI)

    certificate = x509.load_der_x509_certificate(identity.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    key = load_pem_private_key(identity.private_key.read_bytes(), None)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [URI]
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert usage.digital_signature
    assert usage.data_encipherment
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)


def test_only_the_owner_may_read_a_private_key(tmp_path: Path) -> None:
    identity = make_identity(tmp_path / "test", URI)

    assert mode_of(identity.private_key) == 0o600
    assert mode_of(tmp_path / "test") == 0o700


def test_a_secret_written_over_an_open_file_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, b"new")

    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600


def test_an_identity_stays_the_same_until_it_must_change(tmp_path: Path) -> None:
    first = make_identity(tmp_path, URI).certificate.read_bytes()
    second = make_identity(tmp_path, URI).certificate.read_bytes()
    other = make_identity(tmp_path, URI + ":other").certificate.read_bytes()

    assert first == second != other


def test_clients_of_an_earlier_run_are_not_trusted_any_more(tmp_path: Path) -> None:
    old, new = (make_identity(tmp_path / name, f"urn:{name}").certificate for name in ("a", "b"))
    trust_clients(tmp_path / "trusted", [old])

    trusted = trust_clients(tmp_path / "trusted", [new])

    assert len(trusted) == 1
    assert [path.read_bytes() for path in (tmp_path / "trusted").iterdir()] == [new.read_bytes()]


def test_a_client_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.der").write_text("no certificate")

    with pytest.raises(
        ScenarioError, match=r"--trust-client: .*text\.der holds no DER certificate"
    ):
        trust_clients(tmp_path / "trusted", [tmp_path / "text.der"])
    with pytest.raises(ScenarioError, match=r"--trust-client: .*none\.der can't be read"):
        trust_clients(tmp_path / "trusted", [tmp_path / "none.der"])


def test_passwords_are_drawn_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    first, second = (Broker(tmp_path / "mqtt", free_port()) for _ in range(2))

    assert first.edge.password == second.edge.password != first.plant.password
    assert len(first.edge.password) >= 24
    assert {mode_of(path) for path in (tmp_path / "mqtt").iterdir()} == {0o600}
    assert first.edge.password not in repr(first.edge)
