"""Certificates of MQTT connections: which end soon, and which can't be used."""

import datetime
from pathlib import Path

import pytest

from edge_agent.errors import SettingsError, SourceError
from edge_agent.settings_mqtt import BrokerSettings
from edge_agent.sources.mqtt_security import certificate_end, ending_words, tls_context
from tests.integration.mqtt_fixtures import Authority

NOW = datetime.datetime.now(datetime.UTC)


def broker(authority: Authority, days: int = 365) -> BrokerSettings:
    own = authority.issue("agent", days=days)
    return BrokerSettings(
        host="broker", tls_ca_file=authority.path,
        tls_certificate_file=own.certificate, tls_key_file=own.key,
    )  # fmt: skip


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ca")


def test_an_end_is_told_sixty_days_before_and_after_it(authority: Authority) -> None:
    settings = broker(authority, days=100)

    assert ending_words(settings, NOW) == []
    soon = ending_words(settings, NOW + datetime.timedelta(days=50))
    over = ending_words(settings, NOW + datetime.timedelta(days=101))

    assert len(soon) == len(over) == 1
    assert "renew it before" in soon[0]
    assert f"ended on {certificate_end(authority.folder / 'ca-agent.pem'):%Y-%m-%d}" in over[0]


def test_files_that_can_not_be_used_are_named_with_the_remedy(authority: Authority) -> None:
    settings = broker(authority)
    assert tls_context(settings) is not None
    assert tls_context(BrokerSettings(host="localhost")) is None
    files = {name: path for name, path in settings.files.items() if path is not None}

    for name, path in files.items():
        content = path.read_bytes()
        path.write_bytes(b"nonsense")
        with pytest.raises(SourceError, match=name):
            tls_context(settings)
        path.write_bytes(content)
    files["tls_certificate_file"].write_bytes(b"nonsense")
    with pytest.raises(SettingsError, match="give a certificate in PEM"):
        certificate_end(files["tls_certificate_file"])


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(authority: Authority) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    settings = broker(authority)
    path = settings.tls_key_file
    assert path is not None
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )

    with pytest.raises(SourceError, match="store it without"):
        tls_context(settings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "broker"}, "tls_ca_file: missing"),
        ({"host": "localhost", "tls_key_file": "k"}, "tls_certificate_file: missing"),
        ({"host": "localhost", "tls_certificate_file": "c"}, "tls_key_file: missing"),
        (
            {"host": "localhost", "tls_certificate_file": "c", "tls_key_file": "k"},
            "tls_ca_file: missing beside tls_certificate_file",
        ),
        ({"host": "localhost", "protocol": "4"}, "'5' or '3.1.1'"),
    ],
)
def test_settings_that_would_not_protect_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BrokerSettings.model_validate(given)
