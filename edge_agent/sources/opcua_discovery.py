"""Asks a server, before any trust, which servers it knows and how each of its endpoints is secured.

A certificate that is shown is kept among those that are not trusted, so that a person can accept
it with `staybolt-edge trust` after comparing its fingerprint with the server's own display.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from asyncua import Client
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from edge_agent.errors import SourceError
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua_link import CLIENT_ERRORS, REQUEST_TIMEOUT_S, words
from edge_agent.trust import first_of_chain, keep_rejected, rejected_folder

_TOKENS: Final = ("anonymous", "user name", "user certificate", "issued token")


async def discover(settings: OpcuaSettings, state_dir: Path) -> AsyncIterator[str]:
    """Describe a server.

    Parameters
    ----------
    settings : OpcuaSettings
        Its address.
    state_dir : Path
        Where certificates that are not trusted are put.

    Yields
    ------
    str
        Lines for a person.

    Raises
    ------
    SourceError
        If it can't be reached, or does not tell.
    """
    client = Client(settings.endpoint, timeout=REQUEST_TIMEOUT_S)
    try:
        servers = await client.connect_and_find_servers()
        endpoints = await client.connect_and_get_server_endpoints()
    except AssertionError as error:
        msg = f"{settings.endpoint}: the server does not tell its endpoints without security"
        raise SourceError(msg) from error
    except CLIENT_ERRORS as error:
        msg = f"{settings.endpoint}: {words(error)}"
        raise SourceError(msg) from error
    for server in servers:
        yield f"server {server.ApplicationName.Text} ({server.ApplicationUri})"
        for url in server.DiscoveryUrls or []:
            yield f"    at {url}"
    shown: set[bytes] = set()
    for endpoint in endpoints:
        policy = (endpoint.SecurityPolicyUri or "").rpartition("#")[2]
        users = ", ".join(
            _TOKENS[int(token.TokenType)] for token in endpoint.UserIdentityTokens or []
        )
        mode = endpoint.SecurityMode.name.rstrip("_")
        yield f"endpoint {endpoint.EndpointUrl}: {policy}, {mode}; users: {users}"
        if endpoint.ServerCertificate:
            shown.add(first_of_chain(endpoint.ServerCertificate))
    for der in sorted(shown):
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError:
            yield "a certificate that can't be read"
            continue
        keep_rejected(certificate, rejected_folder(state_dir))
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":")
        yield f"certificate {certificate.subject.rfc4514_string()}"
        yield f"    until {certificate.not_valid_after_utc:%Y-%m-%d}, SHA-256 {fingerprint}"
        yield f"    if it is the right one: staybolt-edge trust accept {fingerprint[:23]}"
