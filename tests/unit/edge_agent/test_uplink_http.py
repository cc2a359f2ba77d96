"""The uplink: which answers mean what, and where bodies are cut."""

import email.utils
import gzip
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.messages import Answer, NotAllowed, Refused, Stored, TooLarge, Unavailable
from edge_agent.records import StoredRecord
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_http import HttpUplink, classify, split_body


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Stored), (204, Stored), (413, TooLarge),
        (401, NotAllowed), (403, NotAllowed), (404, NotAllowed), (405, NotAllowed),
        (302, NotAllowed), (408, Unavailable), (429, Unavailable), (500, Unavailable),
        (502, Unavailable), (503, Unavailable), (504, Unavailable), (599, Unavailable),
    ],
)  # fmt: skip
def test_each_status_means_one_thing(status: int, kind: type[Answer]) -> None:
    assert isinstance(classify(status, b"", None, b"a 1", 0.0), kind)


def test_the_stores_own_words_are_kept() -> None:
    said = b'{"code": "invalid", "message": "partial write: field type conflict dropped=1"}'

    assert classify(400, said, None, b"a 1", 0.0) == Refused(
        "400 partial write: field type conflict dropped=1", is_all=True
    )


@pytest.mark.parametrize("said", [b"", b"Client sent an HTTP request to an HTTPS server.\n", b"[]"])
@pytest.mark.parametrize("status", [400, 422])
def test_a_400_in_words_of_no_store_sends_nothing_into_the_quarantine(
    status: int, said: bytes
) -> None:
    assert isinstance(classify(status, said, None, b"a 1", 0.0), NotAllowed)


@pytest.mark.parametrize(
    "said", [b"", b"\xff\xfe", b"<html>busy</html>", b"[1, 2]", b"[" * 100_000, b'{"message": 7}']
)
def test_any_text_of_an_answer_can_be_told(said: bytes) -> None:
    answer = classify(503, said, None, b"a 1", 0.0)

    assert isinstance(answer, Unavailable)
    assert len(answer.reason) < 600


@pytest.mark.parametrize(
    ("retry_after", "pause_s"),
    [
        (None, 0.0), ("7", 7.0), ("2.5", 2.5), ("-3", 0.0), ("nan", 0.0), ("soon", 0.0),
        ("999999", 3600.0), (email.utils.formatdate(1030, usegmt=True), 30.0),
    ],
)  # fmt: skip
def test_a_store_may_ask_for_a_pause(retry_after: str | None, pause_s: float) -> None:
    answer = classify(503, b"", retry_after, b"a 1", now_s=1000.0)

    assert answer == Unavailable("503", pause_s)


@given(
    lines=st.lists(
        st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"\n", b"_") + b"\n")
    ),
    max_bytes=st.integers(1, 100),
)
def test_a_body_is_cut_between_lines_only_and_nothing_is_left_out(
    lines: list[bytes], max_bytes: int
) -> None:
    body = b"".join(lines)

    parts = list(split_body(body, max_bytes))

    assert b"".join(parts) == body
    for part in parts:
        assert part.endswith(b"\n")
        assert len(part) <= max_bytes or part.count(b"\n") == 1


class OneAnswer:
    """A server that reads one request and answers with these bytes, or not at all."""

    def __init__(self, answer: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.request = b""
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(5)
            while b"END\n" not in self.request and b"\x1f\x8b" not in self.request:
                self.request += connection.recv(65536)
            connection.sendall(self._answer)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


def uplink_to(port: int, folder: Path, *, compress: bool = False) -> HttpUplink:
    (folder / "token").write_text("t0ken")
    return HttpUplink(
        UplinkSettings(
            url=f"http://127.0.0.1:{port}/", token_file=folder / "token", compress=compress
        )
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", Stored),
        (b"", Unavailable),
        (b"HTTP/1.1 20", Unavailable),
        (b"\x00\x01\x02 nonsense\r\n\r\n", Unavailable),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 999\r\n\r\nhalf", Unavailable),
    ],
)
def test_only_a_whole_answer_counts(tmp_path: Path, answer: bytes, kind: type[Answer]) -> None:
    server = OneAnswer(answer)
    uplink = uplink_to(server.port, tmp_path)

    got = uplink.send([StoredRecord(1, 1, b"END\n")], 1000)
    uplink.close()
    server.close()

    assert isinstance(got, kind)
    assert b"Authorization: Token t0ken" in server.request
    assert b"Content-Length: 4" in server.request


def test_a_compressed_body_says_so(tmp_path: Path) -> None:
    server = OneAnswer(b"HTTP/1.1 204 No Content\r\n\r\n")
    uplink = uplink_to(server.port, tmp_path, compress=True)

    answer = uplink.post(b"END\n")
    uplink.close()
    server.close()

    head, _, body = server.request.partition(b"\r\n\r\n")
    assert isinstance(answer, Stored)
    assert b"Content-Encoding: gzip" in head
    assert gzip.decompress(body) == b"END\n"


def test_nobody_there_is_an_answer_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    uplink = uplink_to(port, tmp_path)

    answer = uplink.post(b"END\n")
    uplink.close()

    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith(f"http://127.0.0.1:{port}/ can't be reached: ")
    assert "object at 0x" not in answer.reason


def test_a_missing_token_is_a_matter_for_a_person(tmp_path: Path) -> None:
    uplink = uplink_to(1, tmp_path)
    (tmp_path / "token").unlink()

    answer = uplink.post(b"END\n")
    uplink.close()

    assert isinstance(answer, NotAllowed)
    assert "put the secret there" in answer.reason
