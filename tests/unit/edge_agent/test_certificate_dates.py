"""When a certificate ends, as the library that reads all of it says."""

import contextlib
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.certificate_dates import end_of, ends_of

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(end: datetime.datetime, names: list[str]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, one) for one in names])
    return (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(1951, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(end)
        .sign(KEY, hashes.SHA256())
    )


@settings(max_examples=60)
@given(
    end=st.datetimes(datetime.datetime(1952, 1, 1), datetime.datetime(9999, 12, 31)),  # noqa: DTZ001 - made aware below
    names=st.lists(st.text("abcäöü ", min_size=1, max_size=60), max_size=8),
)
def test_the_end_is_what_the_library_reads(end: datetime.datetime, names: list[str]) -> None:
    made = certificate(end.replace(microsecond=0, tzinfo=datetime.UTC), names)

    assert end_of(made.public_bytes(Encoding.DER)) == made.not_valid_after_utc


def test_every_certificate_of_a_pem_file_is_read() -> None:
    ends = [datetime.datetime(year, 2, 3, tzinfo=datetime.UTC) for year in (2049, 2050, 2031)]
    content = b"".join(certificate(end, []).public_bytes(Encoding.PEM) for end in ends)

    assert ends_of(content) == ends


@settings(max_examples=500)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 10**6),
)
def test_any_bytes_are_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    der = bytearray(DER)
    for place, byte in changes:
        der[place % len(der)] = byte
    with contextlib.suppress(ValueError):
        ends_of(bytes(der[: cut % (len(der) + 1) or None]))


DER = certificate(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), ["a"]).public_bytes(
    Encoding.DER
)


@pytest.mark.parametrize(
    "content", [b"", b"0", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ends_of(content)
