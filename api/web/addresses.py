"""Addresses of pages and of static files."""

from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.web.rendering import STATIC_DIR, digest_of

FOREVER: Final = "public, max-age=31536000, immutable"
"""A year, the longest that caches keep anything."""


def path_of(request: Request) -> str:
    """Where a page is, with its query but without the language.

    Parameters
    ----------
    request : Request
        What was asked.

    Returns
    -------
    str
        Path on this server.
    """
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return request.url.path + ("?" + urlencode(query) if query else "")


class HashedFiles(StaticFiles):
    """Static files; one whose address names its present content may be kept for good."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC_DIR)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file.

        Parameters
        ----------
        path : str
            Path under the folder.
        scope : Scope
            See the ASGI specification.

        Returns
        -------
        Response
            The file; how long to keep it is left open where the address does not name its content.
        """
        answer = await super().get_response(path, scope)
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("v", [""])
        # An old page may ask for a new file by its old name: that must not be kept under it.
        if answer.status_code in {200, 304} and asked == [digest_of(path)]:
            answer.headers["cache-control"] = FOREVER
        return answer
