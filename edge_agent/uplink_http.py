"""HTTP requests to the store, and what their answers mean.

Knows the write interfaces of InfluxDB 1, 2 and 3; ingest speaks the first two. When to send and
what to do about an answer is decided in `edge_agent.core_lanes`. Sending the same lines twice
stores them once, so whatever is in doubt is simply sent again.
"""

import email.utils
import gzip
import io
import math
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Final, assert_never

import urllib3
from urllib3.exceptions import HTTPError

from edge_agent.errors import SettingsError
from edge_agent.messages import Answer, NotAllowed, Refused, Stored, TooLarge, Unavailable
from edge_agent.records import StoredRecord
from edge_agent.refusals import MAX_REASON_CHARACTERS, message_of, read_document, read_refusal
from edge_agent.settings_file import read_secret
from edge_agent.settings_uplink import UplinkSettings
from edge_agent.uplink_tls import Stamp, stamp_of, uplink_context

CONNECT_TIMEOUT_S: Final = 10.0
"""For the connection, and then for each 16 KiB block of a body."""

READ_TIMEOUT_S: Final = 30.0
"""InfluxDB gives up a write after 10 s by default; three times that is no answer."""

MAX_RETRY_AFTER_S: Final = 3600.0
"""A store that says "tomorrow" is asked once an hour all the same."""

MAX_ANSWER_BYTES: Final = 4_000_000
"""A refusal may name every line of the largest body; what is longer is not read."""


class HttpUplink:
    """Sends line protocol to ingest or InfluxDB.

    Secrets and certificates are read again for every request or connection, so a rotated one is
    used without a restart.

    Parameters
    ----------
    settings : UplinkSettings
        Where to and how, of kind ``http``.
    """

    def __init__(self, settings: UplinkSettings) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/") + _path(settings)
        self._pool: urllib3.PoolManager | None = None
        self._stamp: Stamp = ()

    @property
    def place(self) -> str:
        """Where samples go, for messages."""
        return self._settings.url

    def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None

    def send(self, records: Sequence[StoredRecord], max_body_bytes: int) -> Answer:
        """Send records and wait for the answer.

        Parameters
        ----------
        records : sequence of StoredRecord
            What to send, together.
        max_body_bytes : int
            Largest body; more is sent in several requests. [byte]

        Returns
        -------
        Answer
            `Stored` only if every line is. A refusal is given after the other bodies were sent,
            so that it tells of the lines of all of them.
        """
        refused: list[tuple[int, Refused]] = []
        n_lines = n_bodies = 0
        for body in split_body(b"".join(record.body for record in records), max_body_bytes):
            answer = self.post(body)
            if isinstance(answer, Refused):
                refused.append((n_lines, answer))
            elif not isinstance(answer, Stored):
                return answer
            n_lines += body.count(b"\n")
            n_bodies += 1
        return _joined(refused, n_bodies) if refused else Stored()

    def post(self, body: bytes) -> Answer:
        """Send one body.

        Parameters
        ----------
        body : bytes
            Line protocol.

        Returns
        -------
        Answer
            What the store said, or that it could not be reached.
        """
        try:
            headers = {
                **_authorization(self._settings),
                "Content-Type": "text/plain; charset=utf-8",
                "User-Agent": "staybolt-edge",
            }
            pool = self._connection()
        except SettingsError as error:
            return NotAllowed(str(error))
        sent = body
        if self._settings.compress:
            headers["Content-Encoding"] = "gzip"
            sent = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Length"] = str(len(sent))
        try:
            response = pool.request(
                "POST",
                self._url,
                # A file is sent in blocks, each with the full timeout; bytes would be sent in one
                # call, which a slow link could never finish in time.
                body=io.BytesIO(sent),
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            said = response.read(MAX_ANSWER_BYTES, decode_content=True)
            if len(said) < MAX_ANSWER_BYTES:
                response.release_conn()
            else:
                response.close()
        except HTTPError as error:
            return Unavailable(f"{self.place} can't be reached: {_plain(error)}")
        except (UnicodeError, ValueError) as error:
            return NotAllowed(f"{self.place} or the token can't be put into a request: {error}")
        return classify(
            response.status, said, response.headers.get("Retry-After"), body, time.time()
        )

    def _connection(self) -> urllib3.PoolManager:
        """Give the connection, made anew if a file for TLS has changed."""
        stamp = stamp_of(self._settings)
        if self._pool is None or stamp != self._stamp:
            self.close()
            context = uplink_context(self._settings) if self._settings.is_encrypted else None
            self._stamp = stamp
            self._pool = urllib3.PoolManager(
                num_pools=1,
                maxsize=1,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
                ssl_context=context,
            )
        return self._pool


def _path(settings: UplinkSettings) -> str:
    bucket = settings.bucket
    match settings.write_api:
        case "influxdb2":
            path, asked = "/api/v2/write", {"bucket": bucket, "precision": "ns"}
            if settings.org is not None:
                asked["org"] = settings.org
        case "influxdb1":
            path, asked = "/write", {"db": bucket, "precision": "n"}
        case "influxdb3":
            path, asked = "/api/v3/write_lp", {"db": bucket, "precision": "nanosecond"}
        case _:
            assert_never(settings.write_api)
    return f"{path}?{urllib.parse.urlencode(asked)}"


def _authorization(settings: UplinkSettings) -> dict[str, str]:
    """Show a token or a user, read from its file each time.

    Raises
    ------
    SettingsError
        If the file can't be read.
    """
    if settings.token_file is not None:
        scheme = "Bearer" if settings.write_api == "influxdb3" else "Token"
        return {"Authorization": f"{scheme} {read_secret(settings.token_file)}"}
    if settings.user is not None and settings.password_file is not None:
        password = read_secret(settings.password_file)
        made = urllib3.make_headers(basic_auth=f"{settings.user}:{password}")
        return {"Authorization": made["authorization"]}
    return {}


def _joined(refused: Sequence[tuple[int, Refused]], n_bodies: int) -> Refused:
    """Join the refusals of several bodies, each with the number of lines before it."""
    named = tuple(
        (before + place, reason) for before, answer in refused for place, reason in answer.named
    )
    answers = [answer for _, answer in refused]
    return Refused(
        answers[0].reason,
        named,
        is_all=len(answers) == n_bodies and all(answer.is_all for answer in answers),
        is_rest_stored=all(answer.is_rest_stored for answer in answers),
    )


def classify(
    status: int, said: bytes, retry_after: str | None, body: bytes, now_s: float
) -> Answer:
    """Read an HTTP answer as one of the few things it can mean for us.

    Parameters
    ----------
    status : int
        HTTP status.
    said : bytes
        Body of the answer.
    retry_after : str or None
        Header of that name: seconds, or a date.
    body : bytes
        The lines that were sent.
    now_s : float
        Wall clock, for a `retry_after` that is a date. [s since 1970-01-01 UTC]

    Returns
    -------
    Answer
        What it means.

    Examples
    --------
    >>> classify(204, b"", None, b"m v=1 1", 0.0)
    Stored()
    >>> classify(503, b"", "7", b"m v=1 1", 0.0)
    Unavailable(reason='503', retry_after_s=7.0)
    """
    if 200 <= status < 300:
        return Stored()
    document = read_document(said)
    # 422 is how InfluxDB 2 says "older than this bucket keeps": it will never take it. Something
    # between us and a store, such as a proxy asked without TLS, says 400 in words of its own; that
    # must not send samples into the quarantine.
    if status in {400, 422} and document is not None and message_of(document):
        return read_refusal(status, document, body)
    reason = f"{status} {_message(said)}".strip()
    if status == 413:
        return TooLarge(len(body))
    if status in {408, 425, 429} or status >= 500:
        return Unavailable(reason, _pause_asked_s(retry_after, now_s))
    remedy = {
        401: "the token is wrong; put the right one into uplink.token_file",
        403: "the token may not write there; give it that right, or another bucket",
        404: "there is no such bucket or address; correct uplink.url or uplink.bucket",
    }.get(status, "this does not look like ingest or InfluxDB; correct uplink.url")
    return NotAllowed(f"{reason}: {remedy}")


def split_body(body: bytes, max_bytes: int) -> Iterator[bytes]:
    r"""Cut line protocol between lines.

    Parameters
    ----------
    body : bytes
        Lines, each ended by a line break.
    max_bytes : int
        Largest part; a longer line is a part of its own. [byte]

    Yields
    ------
    bytes
        Parts that together are the body.

    Examples
    --------
    >>> list(split_body(b"a 1\nb 2\nc 3\n", 8))
    [b'a 1\nb 2\n', b'c 3\n']
    """
    start = 0
    while len(body) - start > max_bytes:
        end = body.rfind(b"\n", start, start + max_bytes) + 1
        if end == 0:
            end = body.find(b"\n", start) + 1 or len(body)
        yield body[start:end]
        start = end
    if start < len(body):
        yield body[start:]


def _message(said: bytes) -> str:
    """Say in one line what the store said: the ``message`` of its JSON, else its text."""
    document = read_document(said)
    if document is not None:
        return message_of(document)
    return " ".join(said.decode("utf-8", "replace").split())[:MAX_REASON_CHARACTERS]


def _pause_asked_s(retry_after: str | None, now_s: float) -> float:
    if retry_after is None:
        return 0.0
    try:
        asked_s = float(retry_after)
    except ValueError:
        try:
            asked_s = email.utils.parsedate_to_datetime(retry_after).timestamp() - now_s
        except ValueError:
            return 0.0
    return 0.0 if math.isnan(asked_s) else min(max(asked_s, 0.0), MAX_RETRY_AFTER_S)


def _plain(error: HTTPError) -> str:
    """Strip the addresses of Python objects that urllib3 puts before its reasons."""
    text = str(getattr(error, "reason", None) or error)
    return text.rpartition(">: ")[2] or text
