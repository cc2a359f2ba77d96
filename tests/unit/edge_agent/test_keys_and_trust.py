"""The agent's own certificate, and whose certificates it trusts."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.errors import SettingsError, UntrustedServerError
from edge_agent.keys import ensure_keys, load_keys, uris_of
from edge_agent.trust import TrustFolders, check_server, first_of_chain, trusted_certificates

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State folder with a certificate; making a key takes a while, so it is made once."""
    folder = tmp_path_factory.mktemp("keys")
    ensure_keys(folder, "urn:staybolt:edge:test")
    return folder


def own_der(keys_dir: Path) -> bytes:
    return (keys_dir / "pki" / "own" / "certificate.der").read_bytes()


def test_the_key_is_private_and_the_certificate_says_who_we_are(keys_dir: Path) -> None:
    keys, is_new = ensure_keys(keys_dir)

    certificate = x509.load_der_x509_certificate(keys.certificate_path.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not is_new
    assert keys.private_key_path.stat().st_mode & 0o777 == 0o600
    assert keys.certificate_path.name == "certificate.der"
    assert uris_of(certificate) == ["urn:staybolt:edge:test"] == [keys.application_uri]
    assert usage.digital_signature
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert usage.content_commitment
    assert certificate.not_valid_before_utc < NOW - datetime.timedelta(hours=12)
    assert certificate.not_valid_after_utc > NOW + datetime.timedelta(days=365)


def test_keys_are_never_replaced(keys_dir: Path) -> None:
    before = own_der(keys_dir)

    ensure_keys(keys_dir, "urn:staybolt:edge:another")

    assert own_der(keys_dir) == before


def test_half_a_pair_is_told_with_the_remedy(tmp_path: Path, keys_dir: Path) -> None:
    folder = tmp_path / "pki" / "own"
    folder.mkdir(parents=True)
    (folder / "certificate.der").write_bytes(own_der(keys_dir))

    with pytest.raises(SettingsError, match="is not there; delete the folder"):
        ensure_keys(tmp_path)


def test_a_key_of_another_certificate_is_noticed(tmp_path: Path, keys_dir: Path) -> None:
    ensure_keys(tmp_path)
    (tmp_path / "pki" / "own" / "certificate.der").write_bytes(own_der(keys_dir))

    with pytest.raises(SettingsError, match="don't belong together"):
        load_keys(tmp_path)


def folders(tmp_path: Path) -> TrustFolders:
    (tmp_path / "trusted").mkdir(exist_ok=True)
    return TrustFolders(tmp_path / "trusted", tmp_path / "rejected")


@pytest.mark.parametrize("name", ["server.der", "server.pem", "SERVER.CRT", "server.cer"])
def test_a_certificate_in_the_folder_is_trusted_in_any_form(
    tmp_path: Path, keys_dir: Path, name: str
) -> None:
    certificate = x509.load_der_x509_certificate(own_der(keys_dir))
    form = Encoding.PEM if name.endswith("pem") else Encoding.DER
    trust = folders(tmp_path)
    (trust.trusted / name).write_bytes(certificate.public_bytes(form))

    assert check_server(own_der(keys_dir), trust, "server", NOW) == certificate


def test_a_chain_is_judged_by_its_first_certificate(tmp_path: Path, keys_dir: Path) -> None:
    trust = folders(tmp_path)
    (trust.trusted / "server.der").write_bytes(own_der(keys_dir))

    check_server(own_der(keys_dir) + b"\x30\x82\x01\x00rest", trust, "server", NOW)

    assert first_of_chain(b"") == b""
    assert first_of_chain(b"\x30\x03abc") == b"\x30\x03abc"


def test_an_unknown_certificate_is_refused_and_kept_for_a_person_to_look_at(
    tmp_path: Path, keys_dir: Path
) -> None:
    trust = folders(tmp_path)
    (trust.trusted / "notes.txt").write_text("not a certificate")
    (trust.trusted / "broken.der").write_text("not a certificate")

    with pytest.raises(UntrustedServerError) as caught:
        check_server(own_der(keys_dir), trust, "opcua hall-1", NOW)

    (kept,) = trust.rejected.iterdir()
    assert kept.read_bytes() == own_der(keys_dir)
    assert f"copy {kept} to {trust.trusted}" in str(caught.value)
    assert "SHA-256" in str(caught.value)


def test_strangers_do_not_fill_the_disk(tmp_path: Path, keys_dir: Path) -> None:
    trust = folders(tmp_path)
    trust.rejected.mkdir()
    for number in range(50):
        (trust.rejected / f"{number}.der").touch()

    with pytest.raises(UntrustedServerError):
        check_server(own_der(keys_dir), trust, "opcua hall-1", NOW)

    assert len(list(trust.rejected.iterdir())) == 50


@pytest.mark.parametrize(
    ("offset_days", "said"), [(10_000, "its certificate ended on"), (-30, "its certificate begins")]
)
def test_a_certificate_out_of_its_time_is_refused(
    tmp_path: Path, keys_dir: Path, offset_days: int, said: str
) -> None:
    trust = folders(tmp_path)
    (trust.trusted / "server.der").write_bytes(own_der(keys_dir))

    with pytest.raises(UntrustedServerError, match=said):
        check_server(own_der(keys_dir), trust, "server", NOW + datetime.timedelta(days=offset_days))


@pytest.mark.parametrize("shown", [b"", b"nonsense", b"\x30\x82\xff\xff"])
def test_what_is_no_certificate_is_refused(tmp_path: Path, shown: bytes) -> None:
    with pytest.raises(UntrustedServerError, match="is no certificate"):
        check_server(shown, folders(tmp_path), "server", NOW)


def test_a_missing_folder_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make the folder and copy the server's certificate"):
        trusted_certificates(tmp_path / "nowhere")
