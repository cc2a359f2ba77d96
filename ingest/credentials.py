"""Where InfluxDB's clients put their token: a header, or for version 1 a user and password."""

import base64
import binascii
from collections.abc import Mapping, Sequence


def token_in(headers: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> str | None:
    """Find the token of a request.

    Parameters
    ----------
    headers : mapping of str to str
        Headers, names in lower case.
    query : mapping of str to sequence of str
        Parameters of the address, empty where they may not carry a token.

    Returns
    -------
    str or None
        The token of ``Authorization: Token …`` or ``Bearer …``, else the password of
        ``Basic …``, else the parameter ``p``; None if there is none. A user name is not looked
        at: the token alone says who is sending.
    """
    scheme, _, credential = headers.get("authorization", "").strip().partition(" ")
    credential = credential.strip()
    match scheme.lower():
        case "token" | "bearer":
            return credential or None
        case "basic":
            return _password_in(credential)
        case "":
            return query["p"][-1] if query.get("p") else None
        case _:
            return None


def _password_in(credential: str) -> str | None:
    try:
        pair = base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return pair.partition(":")[2] or None
