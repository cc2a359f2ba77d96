"""The HTTP uplink over lines and towards servers as no real store here can be made to behave."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.messages import NotAllowed, Stored, Unavailable
from edge_agent.records import StoredRecord
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink
from tests.integration.mqtt_fixtures import Authority, Identity

BODY = b"".join(b"telemetry,site=a,machine=b,signal=c_c value=1 %d\n" % n for n in range(2000))
DONE = b"HTTP/1.1 204 No Content\r\nX-Padding: " + b"." * 40 + b"\r\n\r\n"


class Peer:
    """A server that hands each connection to a function."""

    def __init__(
        self, serve: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
    ) -> None:
        self._serve, self._context = serve, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.n_connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.n_connections += 1
            threading.Thread(target=self._handle, args=(plain,), daemon=True).start()

    def _handle(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            if self._context is None:
                self._serve(plain)
                return
            with self._context.wrap_socket(plain, server_side=True) as connection:
                self._serve(connection)

    def close(self) -> None:
        self._listener.close()


def read_request(connection: socket.socket, n_bytes: int = 65536) -> bytes:
    """Read one request whole, so many bytes at a time."""
    taken = b""
    while b"\r\n\r\n" not in taken:
        taken += connection.recv(n_bytes)
    head, _, body = taken.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(n_bytes)
    return body


@contextlib.contextmanager
def uplink_to(
    folder: Path,
    peer: Peer,
    scheme: str = "http",
    **more: Any,  # noqa: ANN401
) -> Iterator[HttpUplink]:
    (folder / "token").write_text("t0ken")
    uplink = HttpUplink(
        UplinkSettings.model_validate({
            "url": f"{scheme}://localhost:{peer.port}",
            "token_file": folder / "token",
            **more,
        })
    )
    try:
        yield uplink
    finally:
        uplink.close()
        peer.close()


def test_a_line_that_passes_three_bytes_at_a_time_is_only_slow(tmp_path: Path) -> None:
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got.append(read_request(connection, 3))
        for start in range(0, len(DONE), 3):
            connection.sendall(DONE[start : start + 3])
            time.sleep(0.005)

    with uplink_to(tmp_path, Peer(serve)) as uplink:
        answer = uplink.send([StoredRecord(1, 2000, BODY)], 10**6)

    assert answer == Stored()
    assert got == [BODY]


@pytest.mark.parametrize(
    "half", [DONE[:10], DONE[:60], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_an_answer_that_stops_in_the_middle_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    monkeypatch.setattr("edge_agent.uplink_http.READ_TIMEOUT_S", 0.3)
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(half)
        over.wait(20)

    with uplink_to(tmp_path, Peer(serve)) as uplink:
        answer = uplink.send([StoredRecord(1, 2000, BODY)], 10**6)
    over.set()

    assert isinstance(answer, Unavailable)


def test_a_busy_store_that_names_a_pause_is_understood_and_asked_again(tmp_path: Path) -> None:
    answers = [
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}", DONE
    ]  # fmt: skip

    def serve(connection: socket.socket) -> None:
        while True:
            read_request(connection)
            connection.sendall(answers.pop(0))

    peer = Peer(serve)
    with uplink_to(tmp_path, peer) as uplink:
        said = [uplink.send([StoredRecord(1, 2000, BODY)], 10**6) for _ in range(2)]

    assert said == [Unavailable("503", retry_after_s=7.0), Stored()]
    assert peer.n_connections == 1


def test_a_private_authority_and_a_rotated_certificate_are_taken_up_without_a_restart(
    tmp_path: Path,
) -> None:
    authority, other = Authority(tmp_path / "pki", "plant"), Authority(tmp_path / "x", "other")
    server, names = authority.issue("localhost"), []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.path)
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        subject: Any = connection.getpeercert()
        names.append(dict(pair for (pair,) in subject["subject"])["commonName"])
        while True:
            read_request(connection)
            connection.sendall(DONE)

    def show(identity: Identity) -> None:
        own.certificate.write_bytes(identity.certificate.read_bytes())
        own.key.write_bytes(identity.key.read_bytes())

    own = authority.issue("own")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(other.path.read_bytes())
    with uplink_to(
        tmp_path, Peer(serve, context), "https",
        tls_ca_file=ca_file, tls_certificate_file=own.certificate, tls_key_file=own.key,
    ) as uplink:  # fmt: skip
        untrusted = uplink.post(b"# nothing\n")
        ca_file.write_bytes(authority.path.read_bytes())
        answers = [uplink.post(b"# nothing\n")]
        show(authority.issue("rotated"))
        answers += [uplink.post(b"# nothing\n") for _ in range(2)]
        own.key.write_text("no key")
        broken = uplink.post(b"# nothing\n")

    assert isinstance(untrusted, Unavailable)
    assert "certificate verify failed" in untrusted.reason
    assert answers == [Stored()] * 3
    assert names == ["own", "rotated"]
    assert isinstance(broken, NotAllowed)
    assert "can't be used together" in broken.reason
