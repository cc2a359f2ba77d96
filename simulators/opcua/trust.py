"""Who may connect to a simulated OPC UA server: named certificates, and nobody else.

asyncua looks at the certificate a client *sends in* when it creates a session, and only if it
sends one; the certificate its secure channel was really opened with is not compared, and without a
user manager a session without any security is let in too, even when no such endpoint is offered.
So the channel's own certificate is checked once more when the session is activated.
"""

import hmac
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from asyncua.server.internal_server import InternalServer
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

logger = logging.getLogger(__name__)


class TrustedClients(UserManager):
    """Lets in sessions whose secure channel was opened with a trusted certificate.

    Parameters
    ----------
    server : str
        Name of the server, for the log.
    certificates : sequence of x509.Certificate
        Clients that may connect.
    users : mapping of str to str
        Passwords by user name; without any, the certificate is enough.
    """

    def __init__(
        self,
        server: str,
        certificates: Sequence[x509.Certificate],
        users: Mapping[str, str] | None = None,
    ) -> None:
        self._server = server
        self._users = dict(users or {})
        self._trusted = {certificate.public_bytes(Encoding.DER) for certificate in certificates}

    def get_user(
        self,
        iserver: InternalServer,  # noqa: ARG002
        username: str | None = None,
        password: str | None = None,
        certificate: bytes | None = None,
    ) -> User | None:
        """Answer asyncua's question who a client is.

        Parameters
        ----------
        iserver : InternalServer
            The server.
        username, password : str, optional
            Checked where there are users, besides the certificate.
        certificate : bytes, optional
            Certificate the secure channel was opened with, DER; None without security.

        Returns
        -------
        User or None
            A reader, or nobody.
        """
        if certificate in self._trusted:
            if not self._users or self._is_known(username, password):
                return User(role=UserRole.User)
            logger.warning("OPC UA server %s: wrong user name or password", self._server)
            return None
        logger.warning(
            "OPC UA server %s turned a client away: its certificate is not trusted; name it with "
            "--trust-client if it should read",
            self._server,
        )
        return None

    def _is_known(self, username: str | None, password: str | None) -> bool:
        expected = self._users.get(username or "")
        given = (password or "").encode()
        return expected is not None and hmac.compare_digest(expected.encode(), given)


class LoggedValidator(CertificateValidator):
    """Checks the certificate a client sends in, and says whom it turned away and why.

    Parameters
    ----------
    server : str
        Name of the server, for the log.
    store : TrustStore
        Trusted certificates, loaded.
    """

    def __init__(self, server: str, store: TrustStore) -> None:
        super().__init__(
            CertificateValidatorOptions.TRUSTED_VALIDATION
            | CertificateValidatorOptions.PEER_CLIENT,
            store,
        )
        self._server = server

    async def validate(
        self, cert: x509.Certificate, app_description: ua.ApplicationDescription
    ) -> None:
        """Check a certificate.

        Parameters
        ----------
        cert : x509.Certificate
            What the client sent in.
        app_description : ua.ApplicationDescription
            Who it says it is.

        Raises
        ------
        ServiceError
            If it is not trusted, not in force, or not this application's.
        """
        try:
            await super().validate(cert, app_description)
        except ServiceError as error:
            logger.warning(
                "OPC UA server %s turned away %s: %s; name its certificate with --trust-client if "
                "it should read",
                self._server,
                cert.subject.rfc4514_string(),
                ua.StatusCode(ua.UInt32(error.code)).name,
            )
            raise


async def validator_of(server: str, trusted_folder: Path) -> CertificateValidator:
    """Make the check of certificates that clients send in.

    Parameters
    ----------
    server : str
        Name of the server, for the log.
    trusted_folder : Path
        Folder with the trusted certificates.

    Returns
    -------
    CertificateValidator
        Checks validity, application URI, usage, and that the certificate is in the folder.
    """
    store = TrustStore([trusted_folder], [])
    await store.load()
    return LoggedValidator(server, store)
