"""Numbers, dates and plural forms as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from api.web.catalogue import Language, choose_language
from api.web.language import Speech

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
EN, ZH = Speech("en", NOW), Speech("zh", NOW)


@pytest.mark.parametrize(
    ("asked", "cookie", "accept", "expected"),
    [
        (None, None, None, "en"),
        (None, None, "zh-CN,zh;q=0.9", "zh"),
        (None, None, "fr,zh-Hans-CN;q=0.8,en;q=0.1", "zh"),
        (None, "zh", "en", "zh"),
        ("en", "zh", "zh", "en"),
        ("xx", None, "de", "en"),
    ],
)
def test_the_address_wins_over_the_cookie_and_the_cookie_over_the_browser(
    asked: str | None, cookie: str | None, accept: str | None, expected: Language
) -> None:
    assert choose_language(asked, cookie, accept) == expected


def test_plural_forms_are_right_in_both_languages() -> None:
    def said(speech: Speech, n: int) -> str:
        return str(speech.say_n("{n} machine", "{n} machines", n))

    assert [said(EN, n) for n in (0, 1, 2)] == ["0 machines", "1 machine", "2 machines"]
    assert [said(ZH, n) for n in (0, 1, 2)] == ["0 台设备", "1 台设备", "2 台设备"]


def test_numbers_and_dates_follow_the_language() -> None:
    assert (EN.number(12345.678, 1), ZH.number(12345.678, 1)) == ("12,345.7", "12,345.7")
    assert (EN.full_date(NOW), ZH.full_date(NOW)) == ("15 Mar 2026", "2026年3月15日")
    assert (EN.age(NOW - timedelta(hours=3)), ZH.age(NOW - timedelta(hours=3))) == (
        "3 hours ago",
        "3小时前",
    )


def test_money_has_a_true_minus_and_its_currency() -> None:
    assert EN.money(-1234.5, "EUR") == "−€1,234"
    assert EN.money(12.0, "EUR", signed=True) == "+€12"
    assert EN.money(-0.2, "EUR", signed=True) == "€0"
    assert (EN.money_short(20000, "EUR"), ZH.money_short(20000, "EUR")) == ("€20k", "€2万")


def test_what_is_not_known_is_a_dash_never_zero() -> None:
    for said in (
        EN.number(None),
        EN.percent(None),
        EN.chance(None),
        EN.money(None, "EUR"),
        EN.days(None),
        EN.full_date(None),
        EN.moment(None),
        EN.age(None),
        str(EN.span_days(None, 3.0)),
    ):
        assert said == "–"


@pytest.mark.parametrize(
    ("probability", "said"), [(0.0, "<1%"), (0.004, "<1%"), (0.5, "50%"), (0.999, ">99%")]
)
def test_an_estimate_is_never_called_certain(probability: float, said: str) -> None:
    assert EN.chance(probability) == said


def test_what_goes_into_a_message_is_escaped() -> None:
    said = EN.say("Health of {machine} is not known", machine="<script>")

    assert said == "Health of &lt;script&gt; is not known"
