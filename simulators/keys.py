"""Keys of the plant's own OPC UA servers, and which clients they trust.

Every server has a self-signed certificate, as machines in the field do; nobody is trusted who
was not named.
"""

import ipaddress
import os
import secrets
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.errors import ScenarioError

RSA_KEY_BITS: Final = 2048
"""Basic256Sha256 takes 2048 to 4096 bits (OPC 10000-7, 6.2.6)."""

_VALID_FOR: Final = timedelta(days=365)
_RENEW_BEFORE: Final = timedelta(days=30)
_CLOCK_SKEW: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """A server's own certificate.

    Parameters
    ----------
    application_uri : str
        Who it says it is.
    certificate : Path
        Its certificate, DER.
    private_key : Path
        Its key, PEM, readable by the owner alone.
    """

    application_uri: str
    certificate: Path
    private_key: Path


def make_identity(
    folder: Path,
    application_uri: str,
    *,
    is_new: bool = False,
    is_expired: bool = False,
    is_client: bool = False,
) -> Identity:
    """Take a server's certificate from a folder, or make one there.

    Parameters
    ----------
    folder : Path
        Where certificate and key are kept.
    application_uri : str
        Who the server says it is.
    is_new : bool
        Make a new one even if the last is still valid.
    is_expired : bool
        Make one that has expired: a fault to show to clients.
    is_client : bool
        Make one for a client, not for a server.

    Returns
    -------
    Identity
        The same as last time while it stays valid for a month.
    """
    identity = Identity(application_uri, folder / "certificate.der", folder / "private_key.pem")
    is_wanted_new = is_new or is_expired
    if not is_wanted_new and identity.private_key.is_file() and _is_still_good(identity):
        return identity
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_KEY_BITS)
    write_private(
        identity.private_key,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    until = datetime.now(UTC) + (-_CLOCK_SKEW if is_expired else _VALID_FOR)
    certificate = _self_signed(key, application_uri, until, is_client=is_client)
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return identity


def write_private(path: Path, content: bytes) -> None:
    """Write a secret that only its owner may read.

    Parameters
    ----------
    path : Path
        File to write; an older one is replaced.
    content : bytes
        The secret.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def take_password(folder: Path, user: str) -> str:
    """Take the password of an earlier run, so that a client set up then still fits, or make one.

    Parameters
    ----------
    folder : Path
        Where ``<user>.password`` is kept, readable by its owner alone.
    user : str
        Whose password.

    Returns
    -------
    str
        The password.
    """
    path = folder / f"{user}.password"
    if path.is_file():
        password = path.read_text(encoding="utf-8").strip()
        if password:
            return password
    # URL-safe characters need no escaping in TOML.
    password = secrets.token_urlsafe(24)
    write_private(path, password.encode() + b"\n")
    return password


def trust_clients(folder: Path, certificates: Sequence[Path]) -> tuple[x509.Certificate, ...]:
    """Lay out the folder of clients that may connect.

    Parameters
    ----------
    folder : Path
        Folder to fill; certificates of earlier runs are taken out.
    certificates : sequence of Path
        Certificates of the clients, DER.

    Returns
    -------
    tuple of x509.Certificate
        The clients' certificates.

    Raises
    ------
    ScenarioError
        If a file is missing or holds no certificate.
    """
    loaded = [(path, _load_client(path)) for path in certificates]
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for number, (path, certificate) in enumerate(loaded, 1):
        target = folder / f"{number:02}-{path.stem}.der"
        target.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return tuple(certificate for _, certificate in loaded)


def _load_client(path: Path) -> x509.Certificate:
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = (
            f"--trust-client: {path} can't be read ({error.strerror}); name the client's "
            "certificate, as `staybolt-edge keys --state-dir DIR` prints it"
        )
        raise ScenarioError(msg) from error
    try:
        return x509.load_der_x509_certificate(content)
    except ValueError as error:
        msg = f"--trust-client: {path} holds no DER certificate; give the .der file of the client"
        raise ScenarioError(msg) from error


def _is_still_good(identity: Identity) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(identity.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    is_fresh = certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE
    return is_fresh and identity.application_uri in uris


def _self_signed(
    key: rsa.RSAPrivateKey, application_uri: str, until: datetime, *, is_client: bool
) -> x509.Certificate:
    """Make an application instance certificate (OPC 10000-6, 6.2.2)."""
    name = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, application_uri.rsplit(":", maxsplit=1)[-1]),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Staybolt simulated plant"),
    ])
    hosts = {"localhost", socket.gethostname()}
    alternative_names = [
        x509.UniformResourceIdentifier(application_uri),
        *(x509.DNSName(host) for host in sorted(hosts)),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
    public_key = key.public_key()
    subject_key = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), until) - _CLOCK_SKEW)
        .not_valid_after(until)
        # A client that trusts this one certificate must accept it as its own issuer.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
            critical=False,
        )
        .add_extension(usage, critical=False)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        .sign(key, hashes.SHA256())
    )
