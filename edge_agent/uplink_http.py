"""One HTTP request to the store, and what its answer means.

Knows InfluxDB's write API, which ingest speaks too. When to send and what to do about an answer is
decided in `edge_agent.core`. Sending the same lines twice stores them once, so whatever is in doubt
is simply sent again.
"""

import email.utils
import gzip
import io
import json
import logging
import math
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from edge_agent.errors import SettingsError
from edge_agent.messages import Answer, NotAllowed, Refused, Stored, TooLarge, Unavailable
from edge_agent.records import StoredRecord
from edge_agent.settings import UplinkSettings
from edge_agent.settings_file import read_secret

logger = logging.getLogger(__name__)

WRITE_PATH: Final = "/api/v2/write"
CONNECT_TIMEOUT_S: Final = 10.0
"""For the connection, and then for each 16 KiB block of a body."""

READ_TIMEOUT_S: Final = 30.0
"""InfluxDB gives up a write after 10 s by default; three times that is no answer."""

MAX_RETRY_AFTER_S: Final = 3600.0
"""A store that says "tomorrow" is asked once an hour all the same."""

MAX_REASON_CHARACTERS: Final = 500
MAX_ANSWER_BYTES: Final = 65_536


class HttpUplink:
    """Sends line protocol to ingest or InfluxDB.

    Parameters
    ----------
    settings : UplinkSettings
        Where to and how.
    """

    def __init__(self, settings: UplinkSettings) -> None:
        self._settings = settings
        self._url = (
            f"{settings.url.rstrip('/')}{WRITE_PATH}?"
            f"{urllib.parse.urlencode({'bucket': settings.bucket, 'precision': 'ns'})}"
        )
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
        )

    @property
    def place(self) -> str:
        """Where samples go, for messages."""
        return self._settings.url

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

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
            so that the good lines of all of them are stored.
        """
        refused: Refused | None = None
        for body in split_body(b"".join(record.body for record in records), max_body_bytes):
            answer = self.post(body)
            if isinstance(answer, Refused):
                refused = refused or answer
            elif not isinstance(answer, Stored):
                return answer
        return refused or Stored()

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
            token = read_secret(self._settings.token_file)
        except SettingsError as error:
            return NotAllowed(str(error))
        headers = {
            "Authorization": f"Token {token}",
            "Content-Type": "text/plain; charset=utf-8",
            "User-Agent": "staybolt-edge",
        }
        sent = body
        if self._settings.compress:
            headers["Content-Encoding"] = "gzip"
            sent = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Length"] = str(len(sent))
        try:
            response = self._pool.request(
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
            response.status, said, response.headers.get("Retry-After"), len(body), time.time()
        )


def classify(
    status: int, said: bytes, retry_after: str | None, n_bytes: int, now_s: float
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
    n_bytes : int
        Size of the body that was sent. [byte]
    now_s : float
        Wall clock, for a `retry_after` that is a date. [s since 1970-01-01 UTC]

    Returns
    -------
    Answer
        What it means.

    Examples
    --------
    >>> classify(204, b"", None, 100, 0.0)
    Stored()
    >>> classify(503, b"", "7", 100, 0.0)
    Unavailable(reason='503', retry_after_s=7.0)
    """
    reason = f"{status} {_message(said)}".strip()
    if 200 <= status < 300:
        return Stored()
    # 422 is how InfluxDB 2 says "older than this bucket keeps": it will never take it.
    if status in {400, 422}:
        return Refused(reason)
    if status == 413:
        return TooLarge(n_bytes)
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
    text = said.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        text = str(document.get("message") or document.get("error") or document.get("detail") or "")
    return " ".join(text.split())[:MAX_REASON_CHARACTERS]


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
