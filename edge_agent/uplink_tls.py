"""TLS of the uplink, from files that may be rotated while the agent runs."""

import ssl
from pathlib import Path

from edge_agent.errors import SettingsError
from edge_agent.settings_uplink import UplinkSettings

Stamp = tuple[tuple[int, int, int] | None, ...]


def uplink_context(settings: UplinkSettings) -> ssl.SSLContext:
    """Make what TLS needs from the files of the settings.

    Parameters
    ----------
    settings : UplinkSettings
        Of the uplink.

    Returns
    -------
    ssl.SSLContext
        Checks the other side's certificate and host name; TLS 1.2 or later.

    Raises
    ------
    SettingsError
        If a file can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
    except (OSError, ssl.SSLError) as error:
        msg = (
            f"uplink.tls_ca_file {settings.tls_ca_file} can't be used: "
            f"{error.strerror or error}; give the authority's certificate in PEM"
        )
        raise SettingsError(msg) from error
    if settings.tls_certificate_file is not None:
        try:
            context.load_cert_chain(
                settings.tls_certificate_file, settings.tls_key_file, password=_no_passphrase
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            msg = (
                f"uplink.tls_certificate_file {settings.tls_certificate_file} and tls_key_file "
                f"{settings.tls_key_file} can't be used together: {error}; give a certificate and "
                "the key it was made with, both in PEM and readable by this user"
            )
            raise SettingsError(msg) from error
    return context


def stamp_of(settings: UplinkSettings) -> Stamp:
    """Tell by which a rotated file is noticed.

    Parameters
    ----------
    settings : UplinkSettings
        Of the uplink.

    Returns
    -------
    tuple
        Differs when one of the files for TLS was replaced or written.
    """
    names = ("tls_ca_file", "tls_certificate_file", "tls_key_file")
    return tuple(_stamp(settings.files[name]) for name in names)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _no_passphrase() -> str:
    # Without this, OpenSSL would ask a terminal that nobody sits at.
    msg = "the key has a passphrase; store it without"
    raise ValueError(msg)
