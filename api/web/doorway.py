"""Pages that no address of their own leads to: signing in, and what went wrong."""

from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.web.addresses import path_of
from api.web.catalogue import COOKIE, LANGUAGES, choose_language
from api.web.language import Speech
from api.web.rendering import render

YEAR_S: Final = 365 * 24 * 3600


def wants_page(headers: Headers) -> bool:
    """Whether a person with a browser asks, and not a program.

    Parameters
    ----------
    headers : Headers
        Of the request.

    Returns
    -------
    bool
        Browsers name ``text/html`` in what they accept; programs do not.
    """
    return "text/html" in headers.get("accept", "")


def speech_of(request: Request, now: datetime) -> Speech:
    """Language of whoever asks: the address, then what was chosen before, then the browser.

    Parameters
    ----------
    request : Request
        The request.
    now : datetime
        The present.

    Returns
    -------
    Speech
        Their language.
    """
    asked = request.query_params.get("lang")
    accept = request.headers.get("accept-language")
    return Speech(choose_language(asked, request.cookies.get(COOKIE), accept), now)


def page_answer(request: Request, speech: Speech, html: str, status: int = 200) -> HTMLResponse:
    """Send a page, and remember the language if the address chose one.

    Parameters
    ----------
    request : Request
        The request.
    speech : Speech
        The language of the page.
    html : str
        The page.
    status : int
        HTTP status.

    Returns
    -------
    HTMLResponse
        The answer.
    """
    answer = HTMLResponse(html, status)
    answer.headers["content-language"] = "zh-Hans" if speech.language == "zh" else "en"
    answer.headers["vary"] = "Accept, Accept-Language, Cookie"
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie(COOKIE, speech.language, max_age=YEAR_S, samesite="lax", path="/")
    return answer


def problem_page(request: Request, status: int, detail: str) -> HTMLResponse:
    """Say what went wrong, in the product's look.

    Parameters
    ----------
    request : Request
        What was asked.
    status : int
        HTTP status.
    detail : str
        What, where and how to mend it; English.

    Returns
    -------
    HTMLResponse
        The answer.
    """
    speech = speech_of(request, datetime.now(UTC))
    html = render(
        "problem.html", speech, path_of(request), status=status, detail=detail, here=""
    )  # fmt: skip
    return page_answer(request, speech, html, status)


def sign_in_page(request: Request, *, is_refused: bool) -> HTMLResponse:
    """Ask for the access token.

    Parameters
    ----------
    request : Request
        What was asked.
    is_refused : bool
        Whether a wrong token was shown just now.

    Returns
    -------
    HTMLResponse
        The answer, 403 after a wrong token.
    """
    speech = speech_of(request, datetime.now(UTC))
    html = render("sign_in.html", speech, path_of(request), is_refused=is_refused, here="")
    return page_answer(request, speech, html, 403 if is_refused else 200)
