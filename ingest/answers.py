"""Answers in the shapes that InfluxDB's clients expect, one for each version of its API."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final, Literal

Api = Literal["v1", "v2"]

SERVER_VERSION: Final = f"2.0.0+staybolt.{version('staybolt')}"
"""Clients decide by a version what a server can do: what we speak is the write API of 2.0."""

_CODE_OF_STATUS: Final = {
    400: "invalid",
    401: "unauthorized",
    404: "not found",
    405: "method not allowed",
    408: "request timeout",
    413: "request too large",
    415: "unsupported media type",
    503: "unavailable",
}


class Answer(Exception):  # noqa: N818 - an answer, also a good one, that ends the request
    """An answer to one request, raised from wherever it is known.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        What is wrong and how to mend it, for answers of 400 and above.
    headers : mapping of str to str, optional
        Headers beside the usual ones.
    document : mapping, optional
        JSON of a good answer.
    more : mapping, optional
        Fields beside code and message, where the API has them.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        document: Mapping[str, object] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self._message = message
        self._headers = headers or {}
        self._document = document
        self._more = more or {}

    def parts(self, api: Api) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Put it into the shape of one version of the API.

        Parameters
        ----------
        api : {"v1", "v2"}
            The version.

        Returns
        -------
        body : bytes
            JSON, or nothing.
        headers : list of tuple of bytes
            Names in lower case, with their text.
        """
        headers = {"x-influxdb-version": SERVER_VERSION, "x-influxdb-build": "staybolt"}
        document = self._document
        if self.status >= 400:
            code = _CODE_OF_STATUS[self.status]
            headers["x-platform-error-code"] = code
            if api == "v1":
                document = {"error": self._message, **self._more}
            else:
                document = {"code": code, "message": self._message, **self._more}
        body = b""
        if document is not None:
            body = json.dumps(document, ensure_ascii=False).encode()
            headers["content-type"] = "application/json; charset=utf-8"
        if self.status != 204:
            headers["content-length"] = str(len(body))
        headers |= {name.lower(): text for name, text in self._headers.items()}
        return body, [(name.encode(), text.encode()) for name, text in headers.items()]
