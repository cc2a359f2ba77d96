"""Compressed bodies are opened up to a limit and no further."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bodies import BodyTooLargeError, CompressionError, decompress


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_what_was_compressed_comes_out_again_also_in_several_members(parts: list[bytes]) -> None:
    body = b"".join(gzip.compress(part, mtime=0) for part in parts)
    plain = b"".join(parts)

    assert decompress(body, len(plain)) == plain
    if plain:
        with pytest.raises(BodyTooLargeError):
            decompress(body, len(plain) - 1)


def test_a_bomb_is_not_opened_beyond_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    tracemalloc.start()

    with pytest.raises(BodyTooLargeError, match="larger than 1000000 bytes"):
        decompress(bomb, 1_000_000)

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"plain",
        gzip.compress(b"x", mtime=0)[:-3],
        gzip.compress(b"x", mtime=0) + b"tail",
        b"\x1f\x8b",
    ],
)
def test_what_is_not_gzip_is_told(body: bytes) -> None:
    with pytest.raises(CompressionError, match="gzip"):
        decompress(body, 100)
