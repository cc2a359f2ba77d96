"""`check` looks at the device too: clock, room, rights, port, certificates."""

import datetime
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge_agent import check_device as module
from edge_agent.check_device import check_device
from edge_agent.errors import SettingsError
from edge_agent.oncall.certificates import certificate_ends
from edge_agent.settings import Settings
from edge_agent.settings_file import SAMPLE_CONFIG, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "edge.toml"
    text = SAMPLE_CONFIG.read_text().replace("/var/lib/staybolt-edge", "state")
    path.write_text(text.replace("port = 9640", "port = 0"))
    (tmp_path / "state" / "pki" / "trusted").mkdir(parents=True, mode=0o700)
    return load_settings(path)


def wrong(settings: Settings) -> list[str]:
    return [one.text for one in check_device(settings, "edge.toml") if not one.is_good]


def certificate(path: Path, days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "press")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.DER))


def test_a_device_that_is_well_has_nothing_to_mend_but_the_keys_that_are_not_there(
    settings: Settings,
) -> None:
    assert [text for text in wrong(settings) if "can't be read" not in text] == []


def test_a_clock_before_the_program_was_installed_is_told() -> None:
    with pytest.raises(SettingsError, match="it is 1970-01-01 00:00 UTC here; set the clock"):
        module._clock(datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))


def test_a_disk_with_less_room_than_the_cap_is_told_with_what_fits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(settings.state_dir)
    small = os.statvfs_result((4096, 4096, *real[2:4], 50_000, *real[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)

    (text,) = [text for text in wrong(settings) if "max_bytes" in text]

    assert "2000 MB may be kept, but its disk has 205 MB left for it; make room" in text
    assert "write at most 104800000" in text


def test_a_state_folder_that_others_may_change_is_told(settings: Settings) -> None:
    settings.state_dir.chmod(0o777)

    assert any("may be changed by other users; run `chmod 700" in text for text in wrong(settings))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_told_unless_the_agent_itself_uses_it(
    settings: Settings, taken_port: int
) -> None:
    status = settings.status.model_copy(update={"port": taken_port})
    taken = settings.model_copy(update={"status": status})

    assert any("write another port, or 0" in text for text in wrong(taken))
    settings.status_socket_path.touch()
    assert not any("write another port, or 0" in text for text in wrong(taken))


def test_a_private_key_that_others_can_read_is_told(settings: Settings) -> None:
    key = settings.mqtt[0].tls_key_file
    assert key is not None
    key.write_text("key")
    key.chmod(0o640)

    assert any(f"run `chmod 600 {key}`" in text for text in wrong(settings))
    key.chmod(0o600)
    assert not any(str(key) in text for text in wrong(settings))


def test_a_trusted_server_whose_certificate_ends_soon_is_told(settings: Settings) -> None:
    certificate(settings.opcua[0].trusted_servers_dir / "soon.der", days=30)
    certificate(settings.opcua[0].trusted_servers_dir / "later.der", days=90)

    told = [text for text in wrong(settings) if "renew it at the server" in text]

    assert len(told) == 1
    assert "soon.der" in told[0]


def test_the_ends_of_all_certificates_are_found_soonest_first(settings: Settings) -> None:
    trusted = settings.opcua[0].trusted_servers_dir
    certificate(trusted / "later.der", days=90)
    certificate(trusted / "soon.der", days=30)
    (trusted / "broken.der").write_bytes(b"x")
    authority = settings.mqtt[0].tls_ca_file
    assert authority is not None
    certificate(authority, days=60)

    ends = certificate_ends(settings)

    assert [end.path.name for end in ends] == ["soon.der", authority.name, "later.der"]
    assert ends[1].what == "mqtt hall-2, tls_ca_file"
