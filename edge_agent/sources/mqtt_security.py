"""TLS towards a broker: files are read at each connect, so that a rotated one is used at the next.

Python's own defaults are kept: TLS 1.2 or later, the broker's certificate and host name checked.
"""

import datetime
import logging
import ssl
from pathlib import Path
from typing import Protocol

from cryptography import x509

from edge_agent.errors import SettingsError, SourceError
from edge_agent.key_files import WARN_BEFORE_END
from edge_agent.settings_mqtt import BrokerSettings

logger = logging.getLogger(__name__)


class NamesFiles(Protocol):
    """Settings that name the files of a connection."""

    @property
    def files(self) -> dict[str, Path | None]:
        """Every file, by the name of the setting."""


def tls_context(broker: BrokerSettings) -> ssl.SSLContext | None:
    """Make what TLS needs from the files of the settings.

    Parameters
    ----------
    broker : BrokerSettings
        The broker's.

    Returns
    -------
    ssl.SSLContext or None
        None for a connection without TLS, which is for this machine only.

    Raises
    ------
    SourceError
        If a file can't be used.
    """
    if broker.tls_ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(broker.tls_ca_file))
    except (OSError, ssl.SSLError) as error:
        msg = (
            f"tls_ca_file {broker.tls_ca_file} can't be used: {error.strerror or error}; give the "
            "authority's certificate in PEM"
        )
        raise SourceError(msg) from error
    if broker.tls_certificate_file is not None and broker.tls_key_file is not None:
        try:
            context.load_cert_chain(
                broker.tls_certificate_file, broker.tls_key_file, password=_no_passphrase
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            msg = (
                f"tls_certificate_file {broker.tls_certificate_file} and tls_key_file "
                f"{broker.tls_key_file} can't be used: {_key_words(error)}"
            )
            raise SourceError(msg) from error
    return context


def certificate_end(path: Path) -> datetime.datetime:
    """Find out until when a certificate holds.

    Parameters
    ----------
    path : Path
        In PEM; of a chain the first, which is its owner's.

    Returns
    -------
    datetime
        Its end, aware UTC.

    Raises
    ------
    SettingsError
        If it can't be read.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{path} can't be used: {reason}; give a certificate in PEM"
        raise SettingsError(msg) from error


def ending_words(named: NamesFiles, now: datetime.datetime) -> list[str]:
    """Say which certificates of the settings have ended or end soon.

    Parameters
    ----------
    named : NamesFiles
        The settings of a broker, or of the uplink.
    now : datetime
        Aware wall clock.

    Returns
    -------
    list of str
        One line each, with what to do; empty if none does.
    """
    told = []
    for name in ("tls_certificate_file", "tls_ca_file"):
        path = named.files[name]
        if path is None:
            continue
        try:
            end = certificate_end(path)
        except SettingsError:
            continue  # What can't be read is told by the connection that fails on it.
        if now > end:
            told.append(f"{name} {path} ended on {end:%Y-%m-%d}; put a new one in its place")
        elif now > end - WARN_BEFORE_END:
            told.append(f"{name} {path} ends on {end:%Y-%m-%d}; renew it before")
    return told


def _no_passphrase() -> str:
    # Without this, OpenSSL would ask a terminal that nobody sits at.
    msg = "the key has a passphrase; store it without, readable by the agent's user alone"
    raise ValueError(msg)


def _key_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and "MISMATCH" in str(error):
        return "they don't belong together; give the key that the certificate was made with"
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or error}; give both in PEM"
    if isinstance(error, OSError):
        return f"{error.strerror}; see that this user may read both"
    return str(error)
