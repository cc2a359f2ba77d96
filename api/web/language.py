"""English and Simplified Chinese: whole messages, and numbers and dates as people write them.

English messages are their own keys; Chinese stands in ``locale/zh.po``. A page asks for its
language by ``?lang=``, else by cookie, else by what the browser prefers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent
from markupsafe import Markup, escape

from api.web.catalogue import Language, catalogue

_LOCALE_OF: Final[Mapping[Language, str]] = {"en": "en_GB", "zh": "zh_Hans_CN"}
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Speech:
    """Says messages, numbers and dates in one language.

    Parameters
    ----------
    language : str
        ``en`` or ``zh``.
    now : datetime
        The moment that ages are counted from, aware.
    """

    language: Language
    now: datetime

    @property
    def locale(self) -> Locale:
        """Babel's locale of the language."""
        return Locale.parse(_LOCALE_OF[self.language])

    def say(self, message: str, **values: object) -> Markup:
        """Say a message.

        Parameters
        ----------
        message : str
            The English message, with ``{name}`` where a value goes.
        **values
            What goes there; escaped unless it is markup already.

        Returns
        -------
        Markup
            The message in the language; English where nobody has translated it.

        Examples
        --------
        >>> Speech("en", datetime(2026, 1, 1, tzinfo=UTC)).say("{n} of <b>", n=3)
        Markup('3 of &lt;b&gt;')
        """
        found = catalogue(self.language).get(message, message)
        return escape(found if isinstance(found, str) else found[0]).format(**values)

    def quote(self, message: str) -> Markup:
        """Say a message that another part made, which may hold braces of its own.

        Parameters
        ----------
        message : str
            In English.

        Returns
        -------
        Markup
            Translated where somebody has, else as it came.
        """
        found = catalogue(self.language).get(message, message)
        return escape(found if isinstance(found, str) else found[0])

    def say_n(self, singular: str, plural: str, n: int, **values: object) -> Markup:
        """Say a message that depends on a count.

        Parameters
        ----------
        singular, plural : str
            The English messages, with ``{n}`` where the count goes.
        n : int
            The count.
        **values
            What else goes in.

        Returns
        -------
        Markup
            The right form in the language.
        """
        count = self.number(n)
        if self.language == "en":
            return escape(singular if n == 1 else plural).format(n=count, **values)
        return self.say(singular, n=count, **values)

    def number(self, value: float | None, digits: int = 0) -> str:
        """Write a number.

        Parameters
        ----------
        value : float or None
            The number.
        digits : int
            Digits after the point.

        Returns
        -------
        str
            A dash for nothing.
        """
        if value is None:
            return NOTHING
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return str(format_decimal(value, format=pattern, locale=self.locale))

    def percent(self, ratio: float | None, digits: int = 0) -> str:
        """Write a ratio as per cent.

        Parameters
        ----------
        ratio : float or None
            The ratio, 1 being 100 %.
        digits : int
            Digits after the point.

        Returns
        -------
        str
            A dash for nothing.
        """
        if ratio is None:
            return NOTHING
        pattern = "#,##0" + ("." + "0" * digits if digits else "") + "%"
        return str(format_percent(ratio, format=pattern, locale=self.locale))

    def chance(self, probability: float | None) -> str:
        """Write a probability, never as certain.

        Parameters
        ----------
        probability : float or None
            From 0 to 1.

        Returns
        -------
        str
            Per cent, ``<1%`` and ``>99%`` at the ends; a dash for nothing.
        """
        if probability is None:
            return NOTHING
        if probability < 0.01:
            return "<" + self.percent(0.01)
        return ">" + self.percent(0.99) if probability > 0.99 else self.percent(probability)

    def money(self, amount: float | None, currency: str, *, signed: bool = False) -> str:
        """Write an amount of money, without cents.

        Parameters
        ----------
        amount : float or None
            The amount.
        currency : str
            ISO 4217 code.
        signed : bool
            Whether to show a plus as well.

        Returns
        -------
        str
            A dash for nothing.
        """
        if amount is None:
            return NOTHING
        text = str(
            format_currency(
                abs(amount), currency, format="¤#,##0", locale=self.locale, currency_digits=False
            )
        )
        rounded = round(amount)
        sign = "−" if rounded < 0 else "+" if signed and rounded > 0 else ""
        return sign + text

    def money_short(self, amount: float, currency: str) -> str:
        """Write an amount of money for the tick of an axis.

        Parameters
        ----------
        amount : float
            The amount.
        currency : str
            ISO 4217 code.

        Returns
        -------
        str
            Such as ``€20k``; ten thousands as 万 in Chinese.
        """
        step, letter = (1e4, "万") if self.language == "zh" else (1e3, "k")
        if abs(amount) < step:
            return self.money(amount, currency)
        part = amount / step
        return (
            self.money(0, currency).replace("0", self.number(part, 0 if part % 1 == 0 else 1))
            + letter
        )

    def days(self, hours: float | None) -> str:
        """Write a number of hours as days, with a digit where it matters.

        Parameters
        ----------
        hours : float or None
            The hours.

        Returns
        -------
        str
            The number of days without its unit.
        """
        if hours is None:
            return NOTHING
        days = hours / 24
        return self.number(days, 1 if days < 10 else 0)

    def span_days(self, lower_h: float | None, upper_h: float | None) -> Markup:
        """Write an interval of hours in days.

        Parameters
        ----------
        lower_h, upper_h : float or None
            Its ends. [h]

        Returns
        -------
        Markup
            With its unit; a dash for nothing.

        Examples
        --------
        >>> print(Speech("en", datetime(2026, 1, 1, tzinfo=UTC)).span_days(30.0, 200.0))
        1.2–8.3 days
        """
        if lower_h is None or upper_h is None:
            return escape(NOTHING)
        digits = 1 if upper_h < 10 * 24 else 0
        return self.say(
            "{lower}–{upper} days",
            lower=self.number(lower_h / 24, digits),
            upper=self.number(upper_h / 24, digits),
        )

    def span_percent(self, lower: float, upper: float) -> str:
        """Write an interval of ratios in per cent.

        Parameters
        ----------
        lower, upper : float
            Its ends, 1 being 100 %.

        Returns
        -------
        str
            With its unit.
        """
        digits = 1 if upper < 0.1 else 0
        return f"{self.number(100 * lower, digits)}–{self.percent(upper, digits)}"

    def span_money(self, lower: float, upper: float, currency: str) -> str:
        """Write an interval of money.

        Parameters
        ----------
        lower, upper : float
            Its ends.
        currency : str
            ISO 4217 code.

        Returns
        -------
        str
            With its currency.
        """
        return f"{self.money(lower, currency)}–{self.number(upper)}"

    def full_date(self, moment: date | None) -> str:
        """Write a date.

        Parameters
        ----------
        moment : date or None
            Day or moment.

        Returns
        -------
        str
            A dash for nothing.
        """
        if moment is None:
            return NOTHING
        return str(format_date(moment, format="medium", locale=self.locale))

    def day(self, moment: date | None) -> str:
        """Write a date without its year, with its weekday.

        Parameters
        ----------
        moment : date or None
            Day or moment.

        Returns
        -------
        str
            A dash for nothing.
        """
        if moment is None:
            return NOTHING
        return str(format_skeleton("MMMEd", moment, locale=self.locale))

    def moment(self, moment: datetime | None) -> str:
        """Write a moment in UTC.

        Parameters
        ----------
        moment : datetime or None
            The moment, aware.

        Returns
        -------
        str
            Date and time to the minute; a dash for nothing.
        """
        if moment is None:
            return NOTHING
        pattern = "d MMM y HH:mm" if self.language == "en" else "y年M月d日 HH:mm"
        utc = moment.astimezone(UTC)
        return f"{format_datetime(utc, format=pattern, locale=self.locale)} UTC"

    def age(self, moment: datetime | None) -> str:
        """Write how long ago a moment was.

        Parameters
        ----------
        moment : datetime or None
            The moment, aware.

        Returns
        -------
        str
            Such as ``3 minutes ago``; a dash for nothing.
        """
        if moment is None:
            return NOTHING
        elapsed = max(timedelta(0), self.now - moment)
        return str(format_timedelta(-elapsed, add_direction=True, locale=self.locale))
