"""Renders templates: one environment, autoescaped, undefined names are errors."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from api.web import drawings, facts, words
from api.web.catalogue import LANGUAGES
from api.web.language import Speech

STATIC_DIR: Final = Path(__file__).parent / "static"


def render(template: str, speech: Speech, path: str, **values: object) -> str:
    """Render a page.

    Parameters
    ----------
    template : str
        Its file in ``templates``.
    speech : Speech
        The language it is in.
    path : str
        Where it is, with its query but without the language.
    **values
        What it shows.

    Returns
    -------
    str
        HTML.
    """
    page = environment().get_template(template)
    return page.render(speech=speech, path=path, languages=LANGUAGES, **values)


@cache
def environment() -> Environment:
    """Make the environment of all pages.

    Returns
    -------
    Environment
        With the words, numbers and drawings that templates use.
    """
    made = Environment(
        loader=PackageLoader("api.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        _=_say, n_=_say_n, asset=asset, interval=drawings.interval, url_part=_url_part
    )
    made.filters.update({
        "number": _spoken(Speech.number),
        "percent": _spoken(Speech.percent),
        "chance": _spoken(Speech.chance),
        "money": _spoken(_money),
        "day": _spoken(Speech.day),
        "full_date": _spoken(Speech.full_date),
        "moment": _spoken(Speech.moment),
        "age": _spoken(Speech.age),
        "days": _spoken(Speech.days),
        "kind_name": _spoken(words.kind_name),
        "signal_name": _spoken(words.signal_name),
        "state_name": _spoken(words.state_name),
        "contribution": _spoken(words.contribution_words),
        "top_contribution": _spoken(words.top_contribution),
        "note": _spoken(words.note_words),
        "alarm_words": _spoken(words.alarm_words),
        "proposal_words": _spoken(words.proposal_words),
        "driver_words": _spoken(words.driver_words),
        "node_title": _spoken(facts.node_title),
        "visit_day": _spoken(words.visit_day),
        "method_words": _spoken(facts.method_words),
        "field_rows": _spoken(facts.field_rows),
        "said": _spoken(_said),
        "unit": words.unit_text,
        "tidy": words.tidy,
    })
    return made


def asset(name: str) -> str:
    """Address of a static file, changing with its content so that browsers may keep it.

    Parameters
    ----------
    name : str
        Path under ``static``.

    Returns
    -------
    str
        Path on this server.
    """
    return f"/static/{name}?v={digest_of(name)}"


@cache
def digest_of(name: str) -> str:
    """Name the content of a static file.

    Parameters
    ----------
    name : str
        Path under ``static``.

    Returns
    -------
    str
        A few letters of its SHA-256.
    """
    return hashlib.sha256((STATIC_DIR / name).read_bytes()).hexdigest()[:12]


@pass_context
def _say(context: Context, message: str, **values: object) -> Markup:
    speech: Speech = context["speech"]
    return speech.say(message, **values)


@pass_context
def _say_n(context: Context, singular: str, plural: str, n: int, **values: object) -> Markup:
    speech: Speech = context["speech"]
    return speech.say_n(singular, plural, n, **values)


def _spoken(say: Callable[..., object]) -> Callable[..., object]:
    @pass_context
    def spoken(context: Context, value: Any, *rest: Any, **named: Any) -> object:  # noqa: ANN401
        return say(context["speech"], value, *rest, **named)

    return spoken


def _money(speech: Speech, money: Any, *, signed: bool = False) -> str:  # noqa: ANN401
    return speech.money(money.amount, money.currency, signed=signed)


def _said(speech: Speech, known: Any, kind: str) -> Markup | None:  # noqa: ANN401
    return facts.fact_sentence(speech, kind, known)


def _url_part(text: str) -> str:
    return quote(text, safe=":.")
