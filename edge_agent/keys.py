"""The agent's own application certificate: how OPC UA servers know it.

Self-signed, as OPC UA Part 6, 6.2.2 describes: a server's administrator copies the certificate
into the server's trust list, and removes it there to shut the agent out.
"""

import datetime
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.errors import SettingsError
from edge_agent.key_files import CERTIFICATE_NAME, PRIVATE_KEY_NAME, has_keys, keys_folder

URI_PREFIX: Final = "urn:staybolt:edge"
KEY_BITS: Final = 2048
"""What Basic256Sha256 asks for at least (OPC UA Part 7); more makes each connection slower."""

VALID_FOR: Final = datetime.timedelta(days=5 * 365)
VALID_BEFORE: Final = datetime.timedelta(days=1)
"""Plant clocks are seldom right to the minute; a certificate "from tomorrow" is refused."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The agent's certificate and key: their files, and what was in them when they were read."""

    certificate_path: Path
    private_key_path: Path
    application_uri: str
    not_valid_after: datetime.datetime
    certificate: bytes
    """DER."""
    private_key: bytes = field(repr=False)
    """PEM."""


def default_application_uri() -> str:
    """URI of an agent on this machine.

    Returns
    -------
    str
        ``urn:staybolt:edge:`` and the host name.
    """
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()) or "device"
    return f"{URI_PREFIX}:{host}"


def ensure_keys(state_dir: Path, application_uri: str | None = None) -> tuple[OwnKeys, bool]:
    """Load the agent's certificate, or make one.

    Parameters
    ----------
    state_dir : Path
        State folder of the agent.
    application_uri : str, optional
        URI for a new certificate; None takes one from the host name.

    Returns
    -------
    keys : OwnKeys
        The certificate and key.
    is_new : bool
        Whether they were made just now.

    Raises
    ------
    SettingsError
        If the files can't be read or made, or don't belong together.
    """
    folder = keys_folder(state_dir)
    certificate_path, key_path = folder / CERTIFICATE_NAME, folder / PRIVATE_KEY_NAME
    try:
        if has_keys(state_dir):
            return load_keys(state_dir), False
        uri = application_uri or default_application_uri()
        key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        certificate = _self_signed(key, uri)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(
            key_path,
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            mode=0o600,
        )
        _put(certificate_path, certificate.public_bytes(Encoding.DER), mode=0o644)
    except OSError as error:
        msg = (
            f"{folder}: {error.strerror or error}; give a state_dir that this user may write, "
            "or change its owner"
        )
        raise SettingsError(msg) from error
    return load_keys(state_dir), True


def load_keys(state_dir: Path) -> OwnKeys:
    """Load the agent's certificate.

    Parameters
    ----------
    state_dir : Path
        State folder of the agent.

    Returns
    -------
    OwnKeys
        The certificate and key, which belong together.

    Raises
    ------
    SettingsError
        If they are not there, can't be read, or don't belong together.
    """
    folder = keys_folder(state_dir)
    certificate_path, key_path = folder / CERTIFICATE_NAME, folder / PRIVATE_KEY_NAME
    again = f"delete the folder {folder} and run `staybolt-edge keys --state-dir {state_dir}`"
    try:
        der, pem = certificate_path.read_bytes(), key_path.read_bytes()
        certificate = x509.load_der_x509_certificate(der)
        key = load_pem_private_key(pem, password=None)
    except FileNotFoundError as error:
        msg = f"{error.filename} is not there; {again}, then let the servers trust the new one"
        raise SettingsError(msg) from error
    except (OSError, ValueError, TypeError) as error:
        msg = f"{folder} holds no usable certificate and key ({error}); {again}"
        raise SettingsError(msg) from error
    if certificate.public_key() != key.public_key():
        msg = f"{certificate_path} and {key_path.name} don't belong together; {again}"
        raise SettingsError(msg)
    uris = uris_of(certificate)
    if not uris:
        msg = f"{certificate_path} names no application URI; {again}"
        raise SettingsError(msg)
    end = certificate.not_valid_after_utc
    return OwnKeys(certificate_path, key_path, uris[0], end, der, pem)


def uris_of(certificate: x509.Certificate) -> list[str]:
    """Application URIs that a certificate names.

    Parameters
    ----------
    certificate : x509.Certificate
        Any certificate.

    Returns
    -------
    list of str
        URIs among its alternative names.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(names.value.get_values_for_type(x509.UniformResourceIdentifier))


def _self_signed(key: rsa.RSAPrivateKey, uri: str) -> x509.Certificate:
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Staybolt"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Staybolt edge agent"),
    ])
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_BEFORE)
        .not_valid_after(now + VALID_FOR)
        .add_extension(
            x509.SubjectAlternativeName([
                x509.UniformResourceIdentifier(uri),
                x509.DNSName(socket.gethostname()),
            ]),
            critical=False,
        )
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        # Servers that check a self-signed certificate against itself ask for a certificate that
        # may sign; path length 0 keeps it from vouching for anybody else's authority.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=True,
                data_encipherment=True,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _put(path: Path, content: bytes, *, mode: int) -> None:
    """Create a file with these rights from its first moment on; never replace one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
