"""A secured session with one OPC UA server: made, kept, resumed, ended.

Drives asyncua's client step by step instead of through its ``connect()``, whose supervisor takes
20 s to come back, and whose session resumption skips the check of the server's certificate.
"""

import asyncio
import datetime
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.common.utils import ServiceError
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import CertProperties
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.errors import SessionGoneError, SourceError
from edge_agent.keys import OwnKeys
from edge_agent.settings_file import read_secret
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.trust import TrustFolders, check_server

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
"""A controller under load may take seconds; asyncua's default is 4 s."""

SESSION_TIMEOUT_S: Final = 120
"""How long a server keeps session and subscription, and so queues values, while we are away."""

CUT_CHECK_INTERVAL_S: Final = 0.1

END_TIMEOUT_S: Final = 3.0
"""A server that does not answer our goodbye must not keep us from stopping."""

RENEW_AT_RATIO: Final = 0.75
"""Share of its lifetime after which a channel's keys are renewed (OPC UA Part 4, 5.5.2.1)."""

CLIENT_ERRORS: Final = (ua.UaError, OSError, TimeoutError)
"""What asyncua raises when the server or the network is the cause."""

_REMEDIES: Final[dict[int, str]] = {
    ua.StatusCodes.BadCertificateUntrusted: "{trust_us}",
    ua.StatusCodes.BadSecurityChecksFailed: "{trust_us}",
    ua.StatusCodes.BadCertificateInvalid: "{trust_us}",
    ua.StatusCodes.BadCertificateUriInvalid: "{trust_us}",
    ua.StatusCodes.BadIdentityTokenRejected: "correct user and password_file",
    ua.StatusCodes.BadIdentityTokenInvalid: "the server may want user and password_file",
    ua.StatusCodes.BadUserAccessDenied: "correct user and password_file",
    ua.StatusCodes.BadTooManySessions: "the server has no session left; close others there",
}


class OpcuaLink:
    """A session with one server.

    Parameters
    ----------
    settings : OpcuaSettings
        Where the server is.
    keys : OwnKeys
        Our application certificate.
    state_dir : Path
        Where certificates that are not trusted are put.
    """

    def __init__(self, settings: OpcuaSettings, keys: OwnKeys, state_dir: Path) -> None:
        self.settings = settings
        self._keys = keys
        self._folders = TrustFolders(settings.trusted_servers_dir, state_dir / "pki" / "rejected")
        self._renew_at_s = 0.0
        self.client = Client(settings.endpoint, timeout=REQUEST_TIMEOUT_S)
        self.client.name = self.client.description = "Staybolt edge agent"
        self.client.application_uri = keys.application_uri
        self.client.session_timeout = SESSION_TIMEOUT_S * 1000

    @property
    def place(self) -> str:
        """Which server, for messages."""
        return f"opcua {self.settings.name}, {self.settings.endpoint}"

    @property
    def is_connected(self) -> bool:
        """Whether the transport is up as far as this side knows."""
        return self.client.state is UaClientState.CONNECTED

    async def open(self) -> None:
        """Connect and open a new session.

        Raises
        ------
        SourceError
            If the server can't be reached, is not trusted, or does not let us in.
        """
        user, password = self._credentials()
        try:
            await self._secure()
            await self._open_channel()
            await self.client.create_session()
            await self.client.activate_session(username=user, password=password)
        except CLIENT_ERRORS as error:
            raise self.lost(error) from error

    async def resume(self) -> None:
        """Connect again and go on with the session that the server still holds.

        Raises
        ------
        SourceError
            If the server can't be reached now.
        SessionGoneError
            If it has answered that there is nothing to resume.
        """
        user, password = self._credentials()
        self.drop()
        try:
            shown = self.client.security_policy.peer_certificate
            if shown is not None:
                self._check(shown)
            await self._open_channel()
            self.client.uaclient.session.rebind_authentication_token()
            await self.client.activate_session(username=user, password=password)
        except ua.UaError as error:
            raise SessionGoneError(str(self.lost(error))) from error
        except CLIENT_ERRORS as error:
            raise self.lost(error) from error

    async def keep(self) -> None:
        """Renew the keys of the channel when it is time.

        Raises
        ------
        SourceError
            If the server does not answer.
        """
        if time.monotonic() < self._renew_at_s:
            return
        try:
            await self.client.open_secure_channel(renew=True)
            self.client.uaclient.revolve_security_token()
        except CLIENT_ERRORS as error:
            raise self.lost(error) from error
        self._plan_renewal()

    async def end(self) -> None:
        """Tell the server that we go, so that it does not queue for nobody."""
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                if self.is_connected:
                    await self.client.uaclient.close_session(delete_subscriptions=True)
                    await self.client.close_secure_channel()
        except CLIENT_ERRORS as error:
            logger.debug("%s: no goodbye: %s", self.place, words(error))
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go of the connection without a word; the session lives on at the server."""
        # asyncua has no public way to stop the publish loop of a session that is to be resumed;
        # left alone, it would send requests into the new channel before the session is in it.
        publish_loop = self.client.uaclient.session._publish_task
        if publish_loop is not None:
            publish_loop.cancel()
        self.client.disconnect_socket()

    def lost(self, error: BaseException) -> SourceError:
        """Put what asyncua raised into words.

        Parameters
        ----------
        error : BaseException
            What it raised.

        Returns
        -------
        SourceError
            Which server, what, and how to mend it where we know.
        """
        if isinstance(error, SourceError):
            return error
        remedy = ""
        if isinstance(error, ua.UaStatusCodeError):
            remedy = _REMEDIES.get(error.code, "").format(
                trust_us=f"let the server trust our certificate {self._keys.certificate_path}"
            )
        return SourceError(f"{self.place}: {words(error)}{'; ' if remedy else ''}{remedy}")

    # --- steps ---------------------------------------------------------------------------------

    async def _open_channel(self) -> None:
        client = self.client
        client.uaclient.clear_disconnect_request()
        await client.connect_socket()
        await self._unless_cut(client.send_hello())
        await self._unless_cut(client.open_secure_channel())
        self._plan_renewal()

    async def _unless_cut(self, step: Coroutine[Any, Any, None]) -> None:
        """Take a step of connecting; end it when the transport goes.

        asyncua waits out its whole timeout if the transport went before it asked.

        Raises
        ------
        ConnectionError
            If the transport goes.
        """
        task = asyncio.ensure_future(step)
        try:
            while not (await asyncio.wait({task}, timeout=CUT_CHECK_INTERVAL_S))[0]:
                protocol = self.client.uaclient.protocol
                if protocol is None or protocol.is_closed:
                    msg = "the connection was closed while it was being made"
                    raise ConnectionError(msg)
            await task
        finally:
            task.cancel()

    def _plan_renewal(self) -> None:
        lifetime_s = self.client.secure_channel_timeout / 1000
        self._renew_at_s = time.monotonic() + RENEW_AT_RATIO * lifetime_s

    async def _secure(self) -> None:
        """Check the server's certificate before anything but its endpoints is asked of it.

        Raises
        ------
        SourceError
            If it does not offer the security that is asked for, or is not trusted.
        """
        if self.settings.security == "none-on-loopback":
            return
        try:
            endpoints = await self.client.connect_and_get_server_endpoints()
        except AssertionError as error:
            # How asyncua meets a server that answers the opening of a channel with an error.
            msg = (
                f"{self.place}: the server does not say how it is secured, not even which "
                "endpoints it has; allow discovery (GetEndpoints without security) on the server"
            )
            raise SourceError(msg) from error
        mode, policy = ua.MessageSecurityMode.SignAndEncrypt, SecurityPolicyBasic256Sha256
        offers = [
            endpoint
            for endpoint in endpoints
            if endpoint.SecurityMode == mode and endpoint.SecurityPolicyUri == policy.URI
        ]
        if not offers:
            msg = (
                f"{self.place}: the server does not offer {self.settings.security}; switch this "
                "security policy on at the server"
            )
            raise SourceError(msg)
        der = self._check(offers[0].ServerCertificate or b"").public_bytes(Encoding.DER)

        async def is_the_same(shown: x509.Certificate, _: ua.ApplicationDescription) -> None:
            if shown.public_bytes(Encoding.DER) != der:
                raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

        self.client.certificate_validator = is_the_same
        await self.client.set_security(
            policy,
            str(self._keys.certificate_path),
            str(self._keys.private_key_path),
            server_certificate=CertProperties(der, "der"),
            mode=mode,
        )

    def _check(self, shown: bytes) -> x509.Certificate:
        return check_server(shown, self._folders, self.place, datetime.datetime.now(datetime.UTC))

    def _credentials(self) -> tuple[str | None, str | None]:
        if self.settings.user is None or self.settings.password_file is None:
            return None, None
        return self.settings.user, read_secret(self.settings.password_file)


def words(error: BaseException) -> str:
    """Say what asyncua or the network meant.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    str
        One line.
    """
    if isinstance(error, ua.UaStatusCodeError):
        status = ua.StatusCode(error.code)
        return f"the server answered {status.name} ({status.doc.rstrip('.')})"
    if isinstance(error, TimeoutError | asyncio.TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"can't be reached: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
