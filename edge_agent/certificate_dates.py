"""When certificates end, read from their bytes.

The library that reads whole certificates needs 8 MB of memory, which a running agent has better use
for; of a certificate that somebody trusts already only one date is wanted here. Nothing is decided
by it but whether a person is told: connections check certificates with the library.

References
----------
.. [1] RFC 5280, section 4.1: basic certificate fields; 4.1.2.5: validity.
"""

import base64
import binascii
import datetime
import re
from typing import Final

_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----"
)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_TIME_FORMATS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}


def ends_of(content: bytes) -> list[datetime.datetime]:
    """Read when each certificate of a file ends.

    Parameters
    ----------
    content : bytes
        One certificate as DER, or any number as PEM.

    Returns
    -------
    list of datetime
        Aware, in the order of the file.

    Raises
    ------
    ValueError
        If one of them is no certificate.
    """
    if not content.startswith(b"-----"):
        return [end_of(content)]
    try:
        return [end_of(base64.b64decode(text)) for text in _PEM.findall(content)]
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def end_of(der: bytes) -> datetime.datetime:
    """Read when a certificate ends.

    Parameters
    ----------
    der : bytes
        The certificate.

    Returns
    -------
    datetime
        Aware.

    Raises
    ------
    ValueError
        If it is none.
    """
    _, at, end = _element(der, 0, len(der), _SEQUENCE)
    _, at, end = _element(der, at, end, _SEQUENCE)
    tag, _, behind = _element(der, at, end)
    if tag == _VERSION:
        at = behind
    # Serial number, algorithm and issuer come before the validity.
    for _ in range(3):
        _, _, at = _element(der, at, end)
    _, at, end = _element(der, at, end, _SEQUENCE)
    _, _, at = _element(der, at, end)
    tag, at, end = _element(der, at, end)
    form = _TIME_FORMATS.get(tag)
    if form is None:
        msg = f"a time of kind {tag:#x}"
        raise ValueError(msg)
    # Years of two digits: 50 and later are of the last century (RFC 5280, 4.1.2.5.1).
    time = datetime.datetime.strptime(der[at:end].decode("ascii"), form).replace(
        tzinfo=datetime.UTC
    )
    return time.replace(year=time.year - 100) if tag == _UTC_TIME and time.year >= 2050 else time


def _element(der: bytes, at: int, end: int, expected: int | None = None) -> tuple[int, int, int]:
    """Tag of the element that begins here, and where its content begins and ends.

    Raises
    ------
    ValueError
        If there is none, or another one.
    """
    if at + 2 > end:
        msg = f"nothing at byte {at}"
        raise ValueError(msg)
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & 0x80:
        n_bytes = length & 0x7F
        length = int.from_bytes(der[begin : begin + n_bytes], "big")
        begin += n_bytes
    if begin + length > end or (expected is not None and tag != expected):
        msg = f"element {tag:#x} of {length} bytes at byte {at}"
        raise ValueError(msg)
    return tag, begin, begin + length
