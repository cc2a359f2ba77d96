"""Compressed bodies, opened without trusting them."""

import zlib
from typing import Final

from ingest.errors import IngestError

# zlib's number for "gzip header and checksum expected".
_GZIP: Final = 16 + zlib.MAX_WBITS


class BodyTooLargeError(IngestError):
    """A body would be larger than allowed once opened."""


class CompressionError(IngestError):
    """A body is not what its encoding says."""


def decompress(body: bytes, max_bytes: int) -> bytes:
    """Open a gzip body, stopping as soon as it grows too large.

    Parameters
    ----------
    body : bytes
        One gzip member, or several after each other.
    max_bytes : int
        Most that may come out. [bytes]

    Returns
    -------
    bytes
        What was in it.

    Raises
    ------
    BodyTooLargeError
        If more than `max_bytes` would come out; no more than that was ever held.
    CompressionError
        If the body is not gzip, or cut short.
    """
    parts: list[bytes] = []
    n_left = max_bytes
    while body:
        member = zlib.decompressobj(_GZIP)
        try:
            # One byte more than allowed tells too much from just enough.
            part = member.decompress(body, n_left + 1)
        except zlib.error as error:
            msg = f"the body is not gzip ({error})"
            raise CompressionError(msg) from error
        n_left -= len(part)
        if n_left < 0:
            msg = f"the body is larger than {max_bytes} bytes once opened"
            raise BodyTooLargeError(msg)
        if not member.eof:
            msg = "the gzip body is cut short"
            raise CompressionError(msg)
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)
