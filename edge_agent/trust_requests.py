"""Servers that asked to be trusted by showing a certificate: a person accepts or rejects them.

A certificate that is not trusted is kept when it is shown (`edge_agent.trust`); here it is listed
with the fingerprint to compare, and moved by a person's word.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from edge_agent.errors import SettingsError
from edge_agent.trust import certificates_in

MIN_PREFIX: Final = 8
"""Hexadecimal digits of a fingerprint that name a certificate at least."""


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate in one of the two folders."""

    path: Path
    certificate: x509.Certificate
    is_trusted: bool

    @property
    def fingerprint(self) -> str:
        """SHA-256, as servers show it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":")

    def words(self, now: datetime.datetime) -> str:
        """Describe it for a person.

        Parameters
        ----------
        now : datetime
            Aware wall clock.

        Returns
        -------
        str
            One line with state, subject and end, one with the fingerprint.
        """
        end = self.certificate.not_valid_after_utc
        state = "trusted" if self.is_trusted else "waits  "
        late = ", which has passed" if now > end else ""
        return (
            f"{state} {self.certificate.subject.rfc4514_string()}, until {end:%Y-%m-%d}{late}\n"
            f"        SHA-256 {self.fingerprint}"
        )


def shown_certificates(trusted: Path, rejected: Path) -> Iterator[ShownCertificate]:
    """List certificates.

    Parameters
    ----------
    trusted, rejected : Path
        The two folders; one that is not there is empty.

    Yields
    ------
    ShownCertificate
        Trusted ones, then those that wait.
    """
    for folder, is_trusted in ((trusted, True), (rejected, False)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            for certificate in certificates_in(path):
                yield ShownCertificate(path, certificate, is_trusted)


def accept(prefix: str, trusted: Path, rejected: Path) -> ShownCertificate:
    """Trust a server that has shown itself.

    Parameters
    ----------
    prefix : str
        Beginning of its fingerprint, with or without colons.
    trusted, rejected : Path
        The two folders.

    Returns
    -------
    ShownCertificate
        What is trusted now; connections look at the folder anew each time.

    Raises
    ------
    SettingsError
        If no certificate or more than one begins so, or it can't be moved.
    """
    found = _only(prefix, trusted, rejected)
    if not found.is_trusted:
        _move(found.path, trusted)
    return found


def reject(prefix: str, trusted: Path, rejected: Path) -> ShownCertificate:
    """End the trust in a server, or forget one that waits.

    Parameters
    ----------
    prefix : str
        Beginning of its fingerprint, with or without colons.
    trusted, rejected : Path
        The two folders.

    Returns
    -------
    ShownCertificate
        What is no longer trusted; the next connection is refused.

    Raises
    ------
    SettingsError
        If no certificate or more than one begins so, or it can't be moved.
    """
    found = _only(prefix, trusted, rejected)
    if found.is_trusted:
        _move(found.path, rejected)
    else:
        try:
            found.path.unlink()
        except OSError as error:
            msg = f"{found.path} can't be removed: {error.strerror or error}; change its owner"
            raise SettingsError(msg) from error
    return found


def _only(prefix: str, trusted: Path, rejected: Path) -> ShownCertificate:
    wanted = prefix.replace(":", "").lower()
    if len(wanted) < MIN_PREFIX:
        msg = f"{prefix}: give at least {MIN_PREFIX} digits of the fingerprint, see `trust list`"
        raise SettingsError(msg)
    found = {
        each.fingerprint: each
        for each in shown_certificates(trusted, rejected)
        if each.fingerprint.replace(":", "").startswith(wanted)
    }
    if len(found) != 1:
        how = "more than one certificate begins so" if found else "no certificate begins so"
        msg = f"{prefix}: {how}; see `staybolt-edge trust list`"
        raise SettingsError(msg)
    (only,) = found.values()
    return only


def _move(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Copied by content: the two folders may be on different disks.
        (folder / path.name).write_bytes(path.read_bytes())
        path.unlink()
    except OSError as error:
        msg = f"{path} can't be moved to {folder}: {error.strerror or error}; change its owner"
        raise SettingsError(msg) from error
