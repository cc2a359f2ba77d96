"""Compressed bodies, opened without trusting them."""

import zlib
from typing import Final, Literal

from ingest.errors import IngestError

Encoding = Literal["gzip", "zlib"]

# zlib's numbers for which header and checksum are expected.
_WINDOW_BITS: Final[dict[Encoding, int]] = {"gzip": 16 + zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS}


class BodyTooLargeError(IngestError):
    """A body would be larger than allowed once opened."""


class CompressionError(IngestError):
    """A body is not what its encoding says."""


def decompress(body: bytes, max_bytes: int, encoding: Encoding = "gzip") -> bytes:
    """Open a compressed body, stopping as soon as it grows too large.

    Parameters
    ----------
    body : bytes
        One compressed stream, or several after each other.
    max_bytes : int
        Most that may come out. [bytes]
    encoding : {"gzip", "zlib"}
        How it is compressed.

    Returns
    -------
    bytes
        What was in it.

    Raises
    ------
    BodyTooLargeError
        If more than `max_bytes` would come out; no more than that was ever held.
    CompressionError
        If the body is not what its encoding says, or cut short.
    """
    parts: list[bytes] = []
    n_left = max_bytes
    while body:
        member = zlib.decompressobj(_WINDOW_BITS[encoding])
        try:
            # One byte more than allowed tells too much from just enough.
            part = member.decompress(body, n_left + 1)
        except zlib.error as error:
            msg = f"the body is not {encoding} ({error})"
            raise CompressionError(msg) from error
        n_left -= len(part)
        if n_left < 0:
            msg = f"the body is larger than {max_bytes} bytes once opened"
            raise BodyTooLargeError(msg)
        if not member.eof:
            msg = f"the {encoding} body is cut short"
            raise CompressionError(msg)
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)
