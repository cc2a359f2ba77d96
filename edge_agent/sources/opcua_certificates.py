"""Watches the certificates of a connection: a new one of ours is used, one that ends is told."""

import datetime
import logging
import time
from pathlib import Path
from typing import Final

from cryptography import x509

from edge_agent.counters import Counters
from edge_agent.errors import SettingsError
from edge_agent.key_files import WARN_BEFORE_END
from edge_agent.keys import OwnKeys, load_keys

logger = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""The files of our own certificate are looked at so often."""

REFUSED_FOR_S: Final = 60.0
"""A new certificate that a server does not take is tried again so often; a person trusts it."""

WARN_EVERY_S: Final = 24 * 3600.0


class CertificateWatch:
    """Certificates of one connection.

    Parameters
    ----------
    name : str
        What the source is called in logs.
    keys : OwnKeys
        Our certificate at the start.
    state_dir : Path
        State folder of the agent, where new ones are put.
    counters : Counters
        Where to count.
    """

    def __init__(self, name: str, keys: OwnKeys, state_dir: Path, counters: Counters) -> None:
        self._name = name
        self._proven = self._newest = keys
        self._state_dir = state_dir
        self._counters = counters
        self._look_at_s = 0.0
        self._refused_until_s = 0.0
        self._warn_at_s: dict[str, float] = {}
        self._said: str | None = None

    def newest(self) -> OwnKeys:
        """Say which certificate the next connection uses.

        Returns
        -------
        OwnKeys
            The newest there is; the one before while a server does not take it.
        """
        self._look()
        return self._proven if time.monotonic() < self._refused_until_s else self._newest

    def is_new_due(self, in_use: OwnKeys) -> bool:
        """Whether a connection should go over to another certificate of ours.

        Parameters
        ----------
        in_use : OwnKeys
            What it uses.

        Returns
        -------
        bool
            True if there is a newer one that was not refused just now.
        """
        if time.monotonic() < self._look_at_s:
            return False
        self._proven = in_use
        return self.newest().certificate != in_use.certificate

    def refused(self, keys: OwnKeys) -> None:
        """Note that no connection could be made with a certificate, for whatever reason.

        Parameters
        ----------
        keys : OwnKeys
            The certificate.
        """
        if keys.certificate != self._proven.certificate:
            self._refused_until_s = time.monotonic() + REFUSED_FOR_S

    def warn(self, server_certificate: x509.Certificate | None) -> None:
        """Tell once a day of certificates that end soon.

        Parameters
        ----------
        server_certificate : x509.Certificate or None
            What the server has shown.
        """
        own = self._newest
        self._warn("our own certificate", str(own.certificate_path), own.not_valid_after)
        if server_certificate is not None:
            end = server_certificate.not_valid_after_utc
            self._warn("the server's certificate", "renew it at the server", end)

    def _warn(self, whose: str, what: str, end: datetime.datetime) -> None:
        if time.monotonic() < self._warn_at_s.get(whose, 0.0):
            return
        self._warn_at_s[whose] = time.monotonic() + WARN_EVERY_S
        if datetime.datetime.now(datetime.UTC) > end - WARN_BEFORE_END:
            self._counters.certificate_warnings += 1
            logger.warning("%s: %s ends on %s (%s)", self._name, whose, f"{end:%Y-%m-%d}", what)

    def _look(self) -> None:
        self._look_at_s = time.monotonic() + LOOK_S
        try:
            self._newest, self._said = load_keys(self._state_dir), None
        except SettingsError as error:
            # Half of a new pair may be there already, and the other half on its way.
            if str(error) != self._said:
                self._said = str(error)
                logger.warning("%s; going on with the certificate in use", error)
