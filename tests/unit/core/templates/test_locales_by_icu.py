"""Numbers, money, dates, plurals and lists of 19 locales are what CLDR says, by another reader of it: node's ICU."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from wavecom.core.templates.formatting import PLURALS, STYLES, formatter_of
from wavecom.core.templates.variables import Money

LOCALES = (
    *("en-US", "en-GB", "de-DE", "de-CH", "fr-FR", "it-CH", "es-ES", "es-MX", "pt-BR", "pt-PT"),
    *("nl-NL", "pl-PL", "cs-CZ", "sv-SE", "ja-JP", "zh-CN", "ru-RU", "tr-TR", "en-IN"),
)
MONEY = (("1234567.5", "CHF"), ("-1234.5", "EUR"), ("1235", "JPY"), ("0.5", "USD"), ("12.345", "KWD"))
NUMBERS = (0, 1234, 12345, 1234567.25, -1234567.891, 0.5)
COUNTED = (0, 1, 2, 3, 5, 11, 21, 100, 1.5)


@pytest.fixture(scope="module")
def by_icu() -> dict[str, Any]:
    node = Path(sys.prefix) / "bin" / "node"
    script = Path(__file__).with_name("locale_values.cjs")
    done = subprocess.run([node, script, ",".join(LOCALES)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("locale", LOCALES)
def test_a_locale_has_the_forms_that_cldr_gives_it(locale: str, by_icu: dict[str, Any]) -> None:
    formatter = formatter_of(locale)
    forms = dict(zip(PLURALS, PLURALS, strict=True))

    made = {
        "money": [formatter.money(Money(Decimal(amount), currency)) for amount, currency in MONEY],
        "numbers": [formatter.number(number) for number in NUMBERS],
        "percent": formatter.percent(0.12),
        # V8 writes blanks for the narrow no-break spaces that CLDR has in dates.
        "dates": [formatter.date(date(2026, 3, 14), style).replace("\u202f", " ") for style in STYLES],
        "list": formatter.list(["a", "b", "c"]),
        "plurals": [formatter.plural(number, forms) for number in COUNTED],
    }

    assert made == by_icu[locale]
