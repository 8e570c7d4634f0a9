"""Locales as BCP 47 writes them, and which of those that there are serves one that is asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?")

LOCALE_RULE = "a language with script and region where they matter, such as en, de-CH or zh-Hant-TW"


def canonical(tag: str) -> str | None:
    """``de-CH`` of ``de_ch``; None for what is no language with script and region (RFC 5646)."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return None
    language, script, region = found[1].lower(), found[2], found[3]
    return "-".join(filter(None, (language, script and script.title(), region and region.upper())))


def language_of(tag: str) -> str:
    """``de`` of ``de-CH``."""
    return tag.partition("-")[0]


def chain(tag: str, default: str) -> Iterator[str]:
    """The locales that may stand in for a canonical ``tag``, the nearest first: de-CH, de, the default."""
    parts = tag.split("-")
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])
    yield default


def nearest(tag: str, there_are: Collection[str], default: str) -> str | None:
    """The first of ``chain`` that there is."""
    return next((each for each in chain(tag, default) if each in there_are), None)
