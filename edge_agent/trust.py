"""Which OPC UA servers may be connected to: those whose certificate a person put into a folder.

Exact certificates are trusted, not authorities: whoever may be talked to is visible as a file, and
deleting the file ends the trust. asyncua by itself accepts any certificate, does not ask its
validator when a session is resumed, and its trust store refuses self-signed certificates that are
not authorities, which most controllers have; therefore this check is our own and comes before
anything but the list of endpoints is asked of the server.
"""

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.errors import SettingsError, UntrustedServerError
from edge_agent.key_files import CERTIFICATE_ENDINGS

logger = logging.getLogger(__name__)

MAX_REJECTED_FILES: Final = 50
"""A server that shows a new certificate each time must not fill the disk."""


@dataclass(frozen=True, slots=True)
class TrustFolders:
    """Where trusted certificates lie, and where an unknown one is put for a person to look at."""

    trusted: Path
    rejected: Path


def rejected_folder(state_dir: Path) -> Path:
    """Folder of certificates that were shown and are not trusted.

    Parameters
    ----------
    state_dir : Path
        State folder of the agent.

    Returns
    -------
    Path
        ``pki/rejected`` below it.
    """
    return state_dir / "pki" / "rejected"


def trusted_certificates(folder: Path) -> list[x509.Certificate]:
    """Certificates in a folder.

    Parameters
    ----------
    folder : Path
        Files in DER or PEM; those that are something else are logged and passed over.

    Returns
    -------
    list of x509.Certificate
        In no particular order.

    Raises
    ------
    SettingsError
        If the folder can't be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        msg = (
            f"trusted_servers_dir {folder}: {error.strerror or error}; make the folder and copy "
            "the server's certificate into it"
        )
        raise SettingsError(msg) from error
    return [certificate for path in paths for certificate in certificates_in(path)]


def check_server(
    der: bytes, folders: TrustFolders, source: str, now: datetime.datetime
) -> x509.Certificate:
    """See that a server's certificate is trusted and in force.

    Parameters
    ----------
    der : bytes
        What the server showed; a chain begins with its own certificate.
    folders : TrustFolders
        Where to look, and where to put a certificate that is not trusted.
    source : str
        What the server is called in messages.
    now : datetime
        Aware wall clock.

    Returns
    -------
    x509.Certificate
        The server's certificate.

    Raises
    ------
    UntrustedServerError
        If it is not one of the trusted ones, or not in force.
    SettingsError
        If the folder of trusted certificates can't be read.
    """
    try:
        certificate = x509.load_der_x509_certificate(first_of_chain(der))
    except ValueError as error:
        msg = f"{source} shows something that is no certificate; look at the server's set-up"
        raise UntrustedServerError(msg) from error
    shown = certificate.fingerprint(hashes.SHA256())
    if shown not in {
        trusted.fingerprint(hashes.SHA256()) for trusted in trusted_certificates(folders.trusted)
    }:
        kept = keep_rejected(certificate, folders.rejected)
        msg = (
            f"{source} shows a certificate that is not trusted ({describe(certificate)}); if it is "
            f"the right server, copy {kept} to {folders.trusted} (`staybolt-edge trust accept "
            f"{shown.hex()[:16]}` does it), if not, somebody else answers at its address"
        )
        raise UntrustedServerError(msg)
    if now > certificate.not_valid_after_utc:
        msg = (
            f"{source}: its certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            f"renew it at the server and copy the new one to {folders.trusted}"
        )
        raise UntrustedServerError(msg)
    if now < certificate.not_valid_before_utc:
        msg = (
            f"{source}: its certificate begins on {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
            f" UTC, and it is {now:%Y-%m-%d %H:%M} here; set the clocks right"
        )
        raise UntrustedServerError(msg)
    return certificate


def describe(certificate: x509.Certificate) -> str:
    """Say whose certificate it is, so that a person can compare it with the server's own display.

    Parameters
    ----------
    certificate : x509.Certificate
        Any certificate.

    Returns
    -------
    str
        Its subject and the beginning of its SHA-256 fingerprint.
    """
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":")[:23]
    return f"{certificate.subject.rfc4514_string()}, SHA-256 {fingerprint}…"


def first_of_chain(der: bytes) -> bytes:
    """Cut the first certificate off a chain.

    Parameters
    ----------
    der : bytes
        One or more certificates in DER, one after the other.

    Returns
    -------
    bytes
        The first; what can't be cut is returned as it is.
    """
    # A certificate is a SEQUENCE (0x30) of more than 255 and less than 65536 bytes.
    if len(der) < 4 or der[:2] != b"\x30\x82":
        return der
    return der[: int.from_bytes(der[2:4], "big") + 4]


def certificates_in(path: Path) -> Iterator[x509.Certificate]:
    """Read the certificates in a file.

    Parameters
    ----------
    path : Path
        DER or PEM; something else is logged and passed over.

    Yields
    ------
    x509.Certificate
        One or more.
    """
    if path.suffix.lower() not in CERTIFICATE_ENDINGS:
        return
    try:
        content = path.read_bytes()
        if content.startswith(b"-----"):
            yield from x509.load_pem_x509_certificates(content)
        else:
            yield x509.load_der_x509_certificate(content)
    except (OSError, ValueError) as error:
        logger.warning("%s is not a certificate (%s); it is passed over", path, error)


def keep_rejected(certificate: x509.Certificate, folder: Path) -> Path:
    """Keep a certificate that is not trusted, for a person to look at.

    Parameters
    ----------
    certificate : x509.Certificate
        What was shown.
    folder : Path
        Where to keep it; a folder that is full keeps no more.

    Returns
    -------
    Path
        Its file.
    """
    path = folder / f"{certificate.fingerprint(hashes.SHA256()).hex()[:16]}.der"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() and len(list(folder.iterdir())) < MAX_REJECTED_FILES:
            path.write_bytes(certificate.public_bytes(Encoding.DER))
    except OSError as error:
        logger.warning("%s can't be written: %s", path, error)
    return path
