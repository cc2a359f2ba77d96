"""Which language a page is in, and the messages of that language.

English messages are their own keys; Chinese stands in ``locale/zh.po``.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from babel import negotiate_locale
from babel.messages.pofile import read_po

Language = Literal["en", "zh"]
LANGUAGES: Final[Mapping[Language, str]] = {"en": "English", "zh": "简体中文"}
COOKIE: Final = "staybolt_language"
LOCALE_FOLDER: Final = Path(__file__).parent / "locale"


def choose_language(asked: str | None, cookie: str | None, accept: str | None) -> Language:
    """Choose the language of a page.

    Parameters
    ----------
    asked : str or None
        What the address asks for.
    cookie : str or None
        What was chosen before.
    accept : str or None
        The browser's ``Accept-Language``.

    Returns
    -------
    str
        ``en`` or ``zh``.

    Examples
    --------
    >>> choose_language(None, None, "zh-CN,zh;q=0.9,en;q=0.8"), choose_language("en", "zh", None)
    ('zh', 'en')
    """
    for choice in (asked, cookie):
        if choice == "en":
            return "en"
        if choice == "zh":
            return "zh"
    preferred = [part.split(";")[0].strip().replace("-", "_") for part in (accept or "").split(",")]
    found = negotiate_locale([name for name in preferred if name], ["en", "zh"], sep="_")
    return "zh" if found == "zh" else "en"


@functools.cache
def catalogue(language: Language) -> Mapping[str, str | tuple[str, ...]]:
    """Read the translations of a language.

    Parameters
    ----------
    language : str
        ``en`` or ``zh``.

    Returns
    -------
    mapping
        Message by English message; plural messages by their singular. English has none.
    """
    path = LOCALE_FOLDER / f"{language}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        read = read_po(file, locale=language)
    return {
        message.id if isinstance(message.id, str) else message.id[0]: (
            message.string if isinstance(message.string, str) else tuple(message.string)
        )
        for message in read
        if message.id and message.string
    }


def N_(message: str) -> str:  # noqa: N802  # the name that every extractor knows
    """Mark a message that is said later, so that the catalogue test finds it.

    Parameters
    ----------
    message : str
        The English message.

    Returns
    -------
    str
        The same.
    """
    return message
