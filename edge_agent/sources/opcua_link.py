"""A secured session with one OPC UA server: made, kept, resumed, ended.

Drives asyncua's client step by step instead of through its ``connect()``, whose supervisor takes
20 s to come back, and whose session resumption skips the check of the server's certificate.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, nodeid_to_binary
from cryptography import x509

from edge_agent.errors import SessionGoneError, SourceError
from edge_agent.keys import OwnKeys
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua_security import identity_of, secure
from edge_agent.trust import TrustFolders, rejected_folder

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
"""A controller under load may take seconds; asyncua's default is 4 s."""

HELLO_TIMEOUT_S: Final = 3.0
"""Greeting costs a server nothing; one that takes longer was cut off, and is asked again."""

SESSION_TIMEOUT_S: Final = 120
"""How long a server keeps session and subscription, and so queues values, while we are away."""

CUT_CHECK_INTERVAL_S: Final = 0.1

END_TIMEOUT_S: Final = 3.0
"""A server that does not answer our goodbye must not keep us from stopping."""

RENEW_AT_RATIO: Final = 0.75
"""Share of its lifetime after which a channel's keys are renewed (OPC UA Part 4, 5.5.2.1)."""

CLIENT_ERRORS: Final = (ua.UaError, OSError, TimeoutError)
"""What asyncua raises when the server or the network is the cause."""

_TRUST_US: Final = "let the server trust our certificate {certificate}"
_USER: Final = "correct user and password_file, or the user's certificate"
_REMEDIES: Final[dict[int, str]] = {
    ua.StatusCodes.BadCertificateUntrusted: _TRUST_US,
    ua.StatusCodes.BadSecurityChecksFailed: _TRUST_US,
    ua.StatusCodes.BadCertificateInvalid: _TRUST_US,
    ua.StatusCodes.BadCertificateUriInvalid: _TRUST_US,
    ua.StatusCodes.BadIdentityTokenRejected: _USER,
    ua.StatusCodes.BadIdentityTokenInvalid: (
        "the server may want user and password_file, or a user's certificate"
    ),
    ua.StatusCodes.BadUserAccessDenied: _USER,
    ua.StatusCodes.BadTooManySessions: "the server has no session left; close others there",
}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SessionToken:
    """What is needed to go on with a session on another connection; a secret.

    Parameters
    ----------
    authentication_token : bytes
        The server's name for the session, as it is sent.
    server_nonce : bytes
        What the next activation must sign.
    policies : tuple of (str, int, str)
        Id, kind and security policy of each way to be a user on the endpoint.
    server_started_at : str
        When the server says that it started: after another start, ids mean something else.
    """

    authentication_token: bytes
    server_nonce: bytes
    policies: tuple[tuple[str, int, str], ...]
    server_started_at: str


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
        self.keys = keys
        self.server_certificate: x509.Certificate | None = None
        self._folders = TrustFolders(settings.trusted_servers_dir, rejected_folder(state_dir))
        self._renew_at_s = 0.0
        self._started_at = ""
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

    @property
    def token(self) -> SessionToken:
        """What another connection needs to go on with the session."""
        client = self.client
        return SessionToken(
            bytes(nodeid_to_binary(client.uaclient.session.authentication_token)),
            bytes(self._server_nonce or b""),
            tuple(
                (policy.PolicyId or "", int(policy.TokenType), policy.SecurityPolicyUri or "")
                for policy in client._policy_ids
            ),
            self._started_at,
        )

    @property
    def _server_nonce(self) -> bytes | None:
        """What the next activation must sign; asyncua keeps it without its type."""
        nonce: bytes | None = getattr(self.client, "_server_nonce", None)
        return nonce

    @_server_nonce.setter
    def _server_nonce(self, nonce: bytes) -> None:
        setattr(self.client, "_server_nonce", nonce)  # noqa: B010 - see above

    async def open(self) -> None:
        """Connect and open a new session.

        Raises
        ------
        SourceError
            If the server can't be reached, is not trusted, or does not let us in.
        """
        identity = identity_of(self.settings)
        self.client.uaclient.session.reset_authentication_token()
        try:
            await self._open_channel()
            await self.client.create_session()
            await identity.activate(self.client)
            self._started_at = await self._server_started_at()
        except CLIENT_ERRORS as error:
            raise self.lost(error) from error

    async def resume(self, token: SessionToken) -> None:
        """Connect and go on with a session of an earlier connection.

        Parameters
        ----------
        token : SessionToken
            Of that session.

        Raises
        ------
        SourceError
            If the server can't be reached now.
        SessionGoneError
            If it has answered that there is nothing to resume.
        """
        identity, client = identity_of(self.settings), self.client
        try:
            await self._open_channel()
        except CLIENT_ERRORS as error:
            raise self.lost(error) from error
        # asyncua restores a session only from a file of its own, and only within connect().
        client.uaclient.session.restore_authentication_token(
            nodeid_from_binary(Buffer(token.authentication_token))
        )
        self._server_nonce = token.server_nonce
        client._policy_ids = [
            ua.UserTokenPolicy(
                PolicyId=policy, TokenType=ua.UserTokenType(kind), SecurityPolicyUri=uri or None
            )
            for policy, kind, uri in token.policies
        ]
        try:
            await identity.activate(client)
            self._started_at = await self._server_started_at()
        except ua.UaError as error:
            self.drop()
            raise SessionGoneError(str(self.lost(error))) from error
        except CLIENT_ERRORS as error:
            raise self.lost(error) from error
        if self._started_at != token.server_started_at:
            self.drop()
            msg = f"{self.place}: the server has started again, and knows nothing of our session"
            raise SessionGoneError(msg)

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

    async def end(self, *, is_subscription_kept: bool = False) -> None:
        """Tell the server that we go, so that it does not queue for nobody.

        Parameters
        ----------
        is_subscription_kept : bool
            Whether its subscriptions have gone to another session.
        """
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                if self.is_connected:
                    await self.client.uaclient.close_session(
                        delete_subscriptions=not is_subscription_kept
                    )
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
            remedy = _REMEDIES.get(error.code, "").format(certificate=self.keys.certificate_path)
        return SourceError(f"{self.place}: {words(error)}{'; ' if remedy else ''}{remedy}")

    # --- steps ---------------------------------------------------------------------------------

    async def _open_channel(self) -> None:
        client = self.client
        self.server_certificate = await self._unless_cut(
            secure(client, self.settings, self.keys, self._folders, self.place)
        )
        client.uaclient.clear_disconnect_request()
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            await client.connect_socket()
            await self._unless_cut(client.send_hello())
        await self._unless_cut(client.open_secure_channel())
        self._plan_renewal()

    async def _unless_cut(self, step: Coroutine[Any, Any, Result]) -> Result:
        """Take a step of connecting; end it when the transport goes.

        asyncua waits out its whole timeout if the transport went before it asked.

        Raises
        ------
        ConnectionError
            If the transport goes.
        """
        task = asyncio.ensure_future(step)
        uaclient = self.client.uaclient
        # What is closed already when a step begins to connect is the connection before.
        before = uaclient.protocol if uaclient.state is UaClientState.DISCONNECTED else None
        try:
            while not (await asyncio.wait({task}, timeout=CUT_CHECK_INTERVAL_S))[0]:
                protocol = uaclient.protocol
                if protocol is not None and protocol is not before and protocol.is_closed:
                    msg = "the connection was closed while it was being made"
                    raise ConnectionError(msg)
            return await task
        finally:
            task.cancel()

    def _plan_renewal(self) -> None:
        lifetime_s = self.client.secure_channel_timeout / 1000
        self._renew_at_s = time.monotonic() + RENEW_AT_RATIO * lifetime_s

    async def _server_started_at(self) -> str:
        (value,) = await self.client.uaclient.read_attributes(
            [ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_StartTime))], ua.AttributeIds.Value
        )
        started = None if value.Value is None else value.Value.Value
        return started.isoformat() if isinstance(started, datetime) else ""


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
