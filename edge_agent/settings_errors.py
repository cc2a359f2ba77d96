"""Mistakes in settings, in words: file, key, value, what is wrong with it, how to mend it."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_SHOWN: Final = 60
"""Characters of a wrong value that are repeated in the message."""

_COMPARISONS: Final = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text in quotes",
    "path": "a path in quotes",
    "tuple": "a list",
    "list": "a list",
    "model": "a table",
    "dict": "a table",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """Stands in the annotation of a field: how to write it rightly."""

    text: str


def explain(error: ValidationError, model: type[BaseModel], file_name: str) -> str:
    """Put every mistake that pydantic found into one line of plain words.

    Parameters
    ----------
    error : ValidationError
        What pydantic raised.
    model : type of BaseModel
        The model that was filled.
    file_name : str
        Name of the file that the values came from.

    Returns
    -------
    str
        Lines such as ``edge.toml, opcua[0].publishing_interval_ms: -5 is not above 0; write the
        interval in milliseconds, for example 500``.
    """
    details = error.errors(include_url=False, include_context=True)
    return "\n".join(
        _sentence(detail, model, file_name)
        for detail in details
        if not _follows_from_another(detail, details)
    )


def _follows_from_another(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Find a list that is called too short only because its entries are wrong."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _sentence(detail: ErrorDetails, model: type[BaseModel], file_name: str) -> str:
    place, kind = detail["loc"], detail["type"]
    if kind == "value_error":
        return _own_sentence(detail, model, file_name)
    if kind == "extra_forbidden":
        group = _model_at(model, place[:-1])
        return f"{file_name}, {_path(place)}: unknown key; {_nearest(str(place[-1]), group)}"
    problem = _problem(kind, detail)
    remedy = _remedy_at(model, place) or "see `staybolt-edge sample-config` for how to write it"
    return f"{file_name}, {_path(place)}: {problem}; {remedy}"


def _own_sentence(detail: ErrorDetails, model: type[BaseModel], file_name: str) -> str:
    """Mistakes found by our own validators; those on whole tables name the key they mean."""
    place, text = detail["loc"], str(detail.get("ctx", {}).get("error", detail["msg"]))
    if _model_at(model, place) is None:
        remedy = _remedy_at(model, place)
        return f"{file_name}, {_path(place)}: {text}" + (f"; {remedy}" if remedy else "")
    key, colon, rest = text.partition(": ")
    if colon and " " not in key:
        return f"{file_name}, {'.'.join(part for part in (_path(place), key) if part)}: {rest}"
    return f"{file_name}{', ' if place else ''}{_path(place)}: {text}"


def _problem(kind: str, detail: ErrorDetails) -> str:
    value, context = detail.get("input"), detail.get("ctx", {})
    if kind == "missing":
        return "missing"
    if kind in _COMPARISONS:
        words, limit = _COMPARISONS[kind]
        return f"{_shown(value)} is not {words} {context[limit]:g}"
    if kind == "literal_error":
        return f"{_shown(value)} is not {context['expected']}"
    if kind in {"too_short", "string_too_short"}:
        return "empty"
    name = kind.partition("_")[0]
    if name in _KINDS:
        return f"{_shown(value)} is not {_KINDS[name]}"
    return f"{_shown(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _path(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _nearest(key: str, group: type[BaseModel] | None) -> str:
    known = [] if group is None else list(group.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}"


def _model_at(model: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel] | None:
    """Table that a place in the document is; None if it is not a table."""
    group: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, int):
            continue
        if group is None or part not in group.model_fields:
            return None
        group = next(_models_in(group.model_fields[part].annotation), None)
    return group


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _remedy_at(model: type[BaseModel], place: Sequence[str | int]) -> str | None:
    keys = [part for part in place if isinstance(part, str)]
    if not keys:
        return None
    last = max(position for position, part in enumerate(place) if isinstance(part, str))
    group = _model_at(model, place[:last])
    field = None if group is None else group.model_fields.get(keys[-1])
    if field is None:
        return None
    return next(_remedies_in([*field.metadata, field.annotation]), None)


def _remedies_in(parts: Iterable[Any]) -> Iterator[str]:
    """Remedies in annotations, also inside ``File | None``."""
    for part in parts:
        if isinstance(part, Remedy):
            yield part.text
        elif get_origin(part) is not tuple:
            yield from _remedies_in([*get_args(part), *getattr(part, "__metadata__", ())])
