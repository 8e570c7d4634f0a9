"""How values look in a locale, by the data of CLDR: numbers, money, dates, plurals, lists. Babel is loaded when used.

Numbers are put together here from Babel's patterns and signs, because Babel (2.19) loses apostrophes between groups
(1'234'567 of Switzerland), knows nothing of CLDR's ``minimumGroupingDigits``, and puts no space between a currency's
letters and the digits (UTS 35, part 3, "Currencies" and "Number Patterns").
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from wavecom.core.templates import locales
from wavecom.core.templates.variables import Money

if TYPE_CHECKING:
    from babel import Locale
    from babel.numbers import NumberPattern

Style = Literal["short", "medium", "long", "full"]
STYLES: Final = ("short", "medium", "long", "full")
TIME_STYLES: Final = ("short", "medium")
#: The categories of plurals that CLDR has; each locale uses some of them.
PLURALS: Final = ("zero", "one", "two", "few", "many", "other")

_DATES_KEPT: Final = 1_000
_CURRENCIES_KEPT: Final = 200
_UNITS: Final = [Decimal(1).scaleb(-decimals) for decimals in range(7)]
_NO_BREAK_SPACE: Final = "\xa0"
#: Where 1234 is written without a group, as CLDR's ``minimumGroupingDigits`` of 2 says.
_GROUPED_FROM_FIVE: Final = frozenset(("be", "bg", "et", "hu", "hy", "it", "ka", "lv", "pl", "sl", "sq"))
_LOCALES_GROUPED_FROM_FIVE: Final = frozenset(
    (
        *("es", "es-ES", "es-EA", "es-GQ", "es-IC", "es-PH"),
        *("pt-PT", "pt-CH", "pt-CV", "pt-GQ", "pt-GW", "pt-LU", "pt-MO", "pt-MZ", "pt-ST", "pt-TL"),
    )
)


#: Of each, and of tags that are asked about and unknown: there are about 1,000 in CLDR, and any number of tags.
LOCALES_KEPT: Final = 500


@lru_cache(LOCALES_KEPT)
def _babel_locale(tag: str) -> Locale | None:
    # Here: who sends no templates loads none of it.
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return None


def is_known_locale(tag: str) -> bool:
    """Whether CLDR knows this canonical locale."""
    return _babel_locale(tag) is not None


@lru_cache(LOCALES_KEPT)
def formatter_of(tag: str) -> Formatter:
    """The formatter of a canonical locale that is known."""
    return Formatter(tag)


def known_parent(tag: str) -> str:
    """The nearest locale that CLDR knows: ``de-CH`` itself, ``en`` of ``en-XQ``; ``en`` where it knows none."""
    return next((each for each in locales.chain(tag, "en") if is_known_locale(each)), "en")


class _NumberStyle(NamedTuple):
    """A pattern of CLDR with a locale's signs: decimals, sizes of groups, and what stands around a number."""

    least: int
    most: int
    first_group: int
    other_groups: int
    before: str
    after: str
    negative_before: str
    negative_after: str


class Formatter:
    """Formats values for one locale; thread-safe. ``tag`` must be known."""

    def __init__(self, tag: str) -> None:
        from babel import dates, lists, numbers

        found = _babel_locale(tag)
        if found is None:
            raise ValueError(f"there is no locale {tag}")
        self.tag = tag
        self._locale = found
        self._dates = dates
        self._lists = lists
        self._numbers = numbers
        is_late = tag in _LOCALES_GROUPED_FROM_FIVE or locales.language_of(tag) in _GROUPED_FROM_FIVE
        self._least_grouped = 2 if is_late else 1
        # Asked of Babel once: each of these costs it more than a number costs here.
        self._group_sign = numbers.get_group_symbol(found)
        self._decimal_sign = numbers.get_decimal_symbol(found)
        self._minus_sign = numbers.get_minus_sign_symbol(found)
        self._plain = self._style(found.decimal_formats[None])
        self._percent = self._style(found.percent_formats[None])
        # Any three capitals may be asked for.
        self._of_currency = lru_cache(_CURRENCIES_KEPT)(self._money_style)
        # Dates of a day's notifications are few.
        self._date_text = lru_cache(_DATES_KEPT)(self._format_date)

    def number(self, value: float | Decimal, decimals: int | None = None) -> str:
        """``1’234.5``; with exactly ``decimals`` (0 to 6) where they are given."""
        style = self._plain if decimals is None else self._plain._replace(least=decimals, most=decimals)
        return self._put_together(style, Decimal(str(value)))

    def percent(self, value: float | Decimal, decimals: int | None = None) -> str:
        """``12 %`` of 0.12; with exactly ``decimals`` (0 to 6) where they are given."""
        style = self._percent if decimals is None else self._percent._replace(least=decimals, most=decimals)
        return self._put_together(style, Decimal(str(value)) * 100)

    def money(self, value: Money) -> str:
        """``CHF 1’234.50``, with as many decimals as the currency has."""
        return self._put_together(self._of_currency(value.currency), value.amount)

    def _money_style(self, currency: str) -> _NumberStyle:
        decimals = self._numbers.get_currency_precision(currency)
        symbol = self._numbers.get_currency_symbol(currency, self._locale)
        style = self._style(self._locale.currency_formats["standard"], symbol)
        return style._replace(least=decimals, most=decimals)

    def _style(self, pattern: NumberPattern, currency: str = "") -> _NumberStyle:
        def sign(text: str) -> str:
            return text.replace("'", "").replace("-", self._minus_sign).replace("¤", currency)

        # A letter of a currency and a digit are parted, "CHF 12", signs are not: "$12".
        before = [
            text + (_NO_BREAK_SPACE if currency and text and text[-1].isalpha() else "")
            for text in map(sign, pattern.prefix)
        ]
        after = [
            (_NO_BREAK_SPACE if currency and text and text[0].isalpha() else "") + text
            for text in map(sign, pattern.suffix)
        ]
        least, most = pattern.frac_prec
        first, others = pattern.grouping
        return _NumberStyle(least, most, first, others, before[0], after[0], before[1], after[1])

    def _put_together(self, style: _NumberStyle, value: Decimal) -> str:
        whole, decimals = self._digits(style, value)
        body = self._grouped(whole, style.first_group, style.other_groups)
        if decimals:
            body += self._decimal_sign + decimals
        if value < 0 and (whole + decimals).strip("0"):
            return style.negative_before + body + style.negative_after
        return style.before + body + style.after

    def _digits(self, style: _NumberStyle, value: Decimal) -> tuple[str, str]:
        """Those before and after the decimal sign that are shown."""
        whole, _, decimals = f"{abs(value).quantize(_UNITS[style.most]):f}".partition(".")
        while len(decimals) > style.least and decimals.endswith("0"):
            decimals = decimals[:-1]
        return whole, decimals

    def _grouped(self, whole: str, first: int, others: int) -> str:
        if len(whole) < first + self._least_grouped:
            return whole
        groups = [whole[-first:]]
        rest = whole[:-first]
        while rest:
            groups.append(rest[-others:])
            rest = rest[:-others]
        return self._group_sign.join(reversed(groups))

    def date(self, value: dt.date, style: str = "medium") -> str:
        """``14.03.2026``; of a time, its date where its offset holds."""
        return self._date_text(value, style)

    def _format_date(self, value: dt.date, style: str) -> str:
        return self._dates.format_date(value, cast(Style, style), locale=self._locale)

    def time(self, value: dt.date, style: str = "short") -> str:
        """``09:26``, by the value's own offset; empty where it has no time."""
        if not isinstance(value, dt.datetime):
            return ""
        return self._dates.format_time(value, cast(Style, style), tzinfo=value.tzinfo, locale=self._locale)

    def datetime(self, value: dt.date, style: str = "medium") -> str:
        """Date and time together."""
        if not isinstance(value, dt.datetime):
            return self.date(value, style)
        day, time = self.date(value, style), self.time(value)
        return (
            str(self._dates.get_datetime_format(cast(Style, style), locale=self._locale))
            .format(time, day)
            .replace("'", "")
        )

    def list(self, values: list[str]) -> str:
        """``a, b and c``."""
        return self._lists.format_list(values, locale=self._locale)

    def plural(self, value: float | Decimal, forms: dict[str, str]) -> str:
        """The form for this number, in which ``#`` stands for it; ``other`` where its own is not given."""
        # Of the number as it is shown: 1.0 is "1", and so is 0.9999 with three decimals (UTS 35, part 3, "Operands").
        shown: int | Decimal
        if isinstance(value, int):
            shown = abs(value)
        else:
            whole, decimals = self._digits(self._plain, Decimal(str(value)))
            shown = Decimal(f"{whole}.{decimals}")
        category = self._locale.plural_form(shown)
        return forms.get(category, forms["other"]).replace("#", self.number(value))

    def shown(self, value: Any) -> str:
        """A value of any type, in the usual way; nothing of None."""
        match value:
            case str():
                return value
            case None:
                return ""
            case Money():
                return self.money(value)
            case bool():
                return str(value).lower()
            case int() | float() | Decimal():
                return self.number(value)
            case dt.date():
                return self.date(value)
            case _:
                return self.list([self.shown(each) for each in value])
