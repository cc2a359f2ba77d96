"""Nothing on a page may stay untranslated."""

import re
import string

import pytest

from analytics.retention.churn_features import CHURN_FEATURES
from api.planning.proposing import METHOD
from api.web.catalogue import catalogue
from tests.unit.api.web.messages import said_messages, singulars

CHINESE = catalogue("zh")


def translations(message: str) -> list[str]:
    said = CHINESE[message]
    return [said] if isinstance(said, str) else list(said)


def places(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}


def test_every_message_is_translated() -> None:
    missing = sorted(singulars() - set(CHINESE))

    assert missing == []


@pytest.mark.parametrize("method", [METHOD, *(spec.definition_en for spec in CHURN_FEATURES)])
def test_every_method_of_evidence_is_translated(method: str) -> None:
    assert method in CHINESE


@pytest.mark.parametrize("message", sorted(singulars()))
def test_a_translation_names_the_same_places_as_its_message(message: str) -> None:
    for said in translations(message):
        assert places(said) == places(message)


def test_chinese_is_chinese_unless_it_is_a_unit_or_a_name() -> None:
    not_chinese = {
        said
        for message in CHINESE
        for said in translations(message)
        if not re.search(r"[\u4e00-\u9fff]", said)
    }

    assert not_chinese <= {"{lower}–{upper}"}


def test_messages_are_whole_sentences_not_pieces() -> None:
    torn = {message for message in said_messages() if message != message.strip()}

    assert torn == set()
