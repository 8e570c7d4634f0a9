from __future__ import annotations

import pytest

from wavecom.core.templates.formatting import known_parent
from wavecom.core.templates.locales import canonical, nearest


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("de", "de"),
        ("de_ch", "de-CH"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("", None),
        ("deutsch", None),
    ],
)
def test_a_locale_is_written_in_one_way(given: str, tag: str | None) -> None:
    assert canonical(given) == tag


@pytest.mark.parametrize(
    ("asked", "found"), [("de-CH", "de"), ("fr-CH", "fr-CH"), ("it", "en"), ("zh-Hant-TW", "zh-Hant"), ("en-GB", "en")]
)
def test_the_nearest_locale_serves(asked: str, found: str) -> None:
    assert nearest(asked, ("en", "de", "fr-CH", "fr", "zh-Hant"), "en") == found


def test_where_not_even_the_default_is_there_none_serves() -> None:
    assert nearest("it", ("de",), "en") is None


def test_an_unknown_region_is_formatted_as_its_language() -> None:
    assert [known_parent(each) for each in ("de-CH", "de-XQ", "xx")] == ["de-CH", "de", "en"]
