"""Errors as answers: ``application/problem+json`` (RFC 9457) that says what, where and how to mend.

::

    ApiError
    ├── BadRequestError    what was asked makes no sense (400)
    ├── NotFoundError      there is no such thing, or it is not yours (404)
    └── SettingsError      the program can't start with these settings (never an HTTP answer)
"""

from typing import Any, ClassVar, Final

from starlette.responses import JSONResponse

PROBLEM_TYPE: Final = "application/problem+json"


class ApiError(Exception):
    """Base of every error raised by `api`."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong here"


class BadRequestError(ApiError, ValueError):
    """What was asked makes no sense."""

    status = 400
    title = "The request can't be answered as it stands"


class NotFoundError(ApiError, LookupError):
    """There is no such thing, or it is not yours."""

    status = 404
    title = "Not found"


class SettingsError(ApiError, ValueError):
    """The program can't start with these settings."""


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401  # extension members may be any JSON
) -> JSONResponse:
    """Shape one error answer.

    Parameters
    ----------
    status : int
        HTTP status.
    title : str
        What kind of problem, the same each time.
    detail : str
        What, where and how to mend it, for a person.
    headers : dict, optional
        Further response headers.
    **more
        Extension members of the problem object.

    Returns
    -------
    JSONResponse
        The answer with its media type.
    """
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM_TYPE)
