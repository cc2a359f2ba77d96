"""How a connection to an OPC UA server is secured, and as whom we are there.

The server's certificate is checked before anything but its endpoints is asked of it: asyncua by
itself accepts every certificate, and does not ask its validator when a session is resumed.
"""

import datetime
from dataclasses import dataclass
from typing import Any, Final

from asyncua import Client, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.security_policies import (
    SecurityPolicy,
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
    SecurityPolicyNone,
)
from asyncua.crypto.uacrypto import CertProperties
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge_agent.errors import SettingsError, SourceError
from edge_agent.keys import OwnKeys
from edge_agent.settings_file import read_secret
from edge_agent.settings_opcua import OpcuaSettings, Security
from edge_agent.trust import TrustFolders, check_server

MODE: Final = ua.MessageSecurityMode.SignAndEncrypt

_POLICIES: Final[dict[Security, type[SecurityPolicy]]] = {
    "Basic256Sha256-SignAndEncrypt": SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep-SignAndEncrypt": SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss-SignAndEncrypt": SecurityPolicyAes256Sha256RsaPss,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom a session is opened: a name and password, a certificate and key, or nobody."""

    user: str | None = None
    password: str | None = None
    certificate: x509.Certificate | None = None
    private_key: rsa.RSAPrivateKey | None = None

    async def activate(self, client: Client) -> None:
        """Open the session of a client as this user.

        Parameters
        ----------
        client : Client
            Its session is created, or is to be resumed.
        """
        client.user_private_key = self.private_key
        await client.activate_session(self.user, self.password, self.certificate)


def identity_of(settings: OpcuaSettings) -> Identity:
    """Read who we are on a server.

    Parameters
    ----------
    settings : OpcuaSettings
        The server's.

    Returns
    -------
    Identity
        From the files that the settings name.

    Raises
    ------
    SettingsError
        If one of them can't be used.
    """
    if settings.user is not None and settings.password_file is not None:
        return Identity(user=settings.user, password=read_secret(settings.password_file))
    if settings.user_certificate_file is None or settings.user_key_file is None:
        return Identity()
    path, key_path = settings.user_certificate_file, settings.user_key_file
    try:
        content = path.read_bytes()
        is_pem = content.startswith(b"-----")
        load = x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate
        certificate = load(content)
        key = load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        msg = (
            f"{path} and {key_path} hold no usable certificate and key ({error}); give a "
            "certificate in DER or PEM and its RSA key in PEM, without password"
        )
        raise SettingsError(msg) from error
    if not isinstance(key, rsa.RSAPrivateKey) or certificate.public_key() != key.public_key():
        msg = f"{path} and {key_path} don't belong together, or are not RSA; give a matching pair"
        raise SettingsError(msg)
    return Identity(certificate=certificate, private_key=key)


async def secure(
    client: Client, settings: OpcuaSettings, keys: OwnKeys, folders: TrustFolders, place: str
) -> x509.Certificate | None:
    """Check the server's certificate and let the client use it and ours.

    Parameters
    ----------
    client : Client
        Not connected yet.
    settings : OpcuaSettings
        The server's.
    keys : OwnKeys
        Our application certificate.
    folders : TrustFolders
        Where trusted certificates lie.
    place : str
        Which server, for messages.

    Returns
    -------
    x509.Certificate or None
        The server's; None if the connection is not secured.

    Raises
    ------
    SourceError
        If it does not offer the security that is asked for, or is not trusted.
    """
    if settings.security == "none-on-loopback":
        return None
    # A client that was connected before would ask with the security of that connection.
    client.security_policy = SecurityPolicyNone()  # type: ignore[no-untyped-call]  # asyncua's gap
    client.uaclient.set_security(client.security_policy)
    try:
        endpoints = await client.connect_and_get_server_endpoints()
    except AssertionError as error:
        # How asyncua meets a server that answers the opening of a channel with an error.
        msg = (
            f"{place}: the server does not say how it is secured, not even which "
            "endpoints it has; allow discovery (GetEndpoints without security) on the server"
        )
        raise SourceError(msg) from error
    policy = _POLICIES[settings.security]
    offers = [
        endpoint
        for endpoint in endpoints
        if endpoint.SecurityMode == MODE and endpoint.SecurityPolicyUri == policy.URI
    ]
    if not offers:
        known = [name for name, each in _POLICIES.items() if _is_offered(each, endpoints)]
        other = f", or write security = {known[0]!r}, which it offers" if known else ""
        msg = (
            f"{place}: the server does not offer {settings.security}; switch this "
            f"security policy on at the server{other}"
        )
        raise SourceError(msg)
    now = datetime.datetime.now(datetime.UTC)
    certificate = check_server(offers[0].ServerCertificate or b"", folders, place, now)
    der = certificate.public_bytes(Encoding.DER)

    async def is_the_same(shown: x509.Certificate, _: ua.ApplicationDescription) -> None:
        if shown.public_bytes(Encoding.DER) != der:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    client.certificate_validator = is_the_same
    await client.set_security(
        policy,
        CertProperties(keys.certificate, "der"),
        CertProperties(keys.private_key, "pem"),
        server_certificate=CertProperties(der, "der"),
        mode=MODE,
    )
    return certificate


def _is_offered(policy: type[SecurityPolicy], endpoints: list[Any]) -> bool:
    return any(
        endpoint.SecurityMode == MODE and endpoint.SecurityPolicyUri == policy.URI
        for endpoint in endpoints
    )
