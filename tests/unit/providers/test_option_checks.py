"""Checks of options that several types of providers have: addresses of APIs, and secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from wavecom.providers.configuration.options import base_url, load, secret, secrets


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Options:
    api_key: Annotated[str, secret()] = "k"
    webhook_secret: Annotated[tuple[str, ...], secrets()] = ()
    base_url: Annotated[str, base_url()] = "https://api.example"


def mistakes(**raw: Any) -> list[str]:
    return [each.message for each in load(Options, raw).mistakes]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("one", ("one",)), (["one"], ("one",)), (["new", "old, with a comma"], ("new", "old, with a comma"))],
)
def test_one_secret_or_several_are_valid(given: object, kept: tuple[str, ...]) -> None:
    loaded = load(Options, {"webhook_secret": given}).value

    assert loaded is not None
    assert loaded.webhook_secret == kept


@pytest.mark.parametrize("given", ["", [], [""], ["a", ""], ["a\n"], "ü", 7, {"a": "b"}, ["a", 7], None])
def test_what_is_no_secret_is_refused_and_not_repeated(given: object) -> None:
    [mistake] = mistakes(webhook_secret=given)

    assert mistake in {
        "must be text in quotes, or a list of texts",
        "must be printable ASCII on one line, and not empty",
    }


@pytest.mark.parametrize("given", ["", "a\r\nX-Evil: 1", "ü"])
def test_a_key_can_stand_in_a_header(given: str) -> None:
    assert mistakes(api_key=given) == ["must be printable ASCII on one line, and not empty"]


@pytest.mark.parametrize(
    "given", ["https://api.eu.example", "https://api.example:8443/", "http://127.0.0.1:9/", "http://[::1]:9"]
)
def test_the_address_of_an_api_is_kept_without_a_slash(given: str) -> None:
    loaded = load(Options, {"base_url": given}).value

    assert loaded is not None
    assert loaded.base_url == given.rstrip("/")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("http://api.example", "use https"),
        ("https://api.example/v3", "scheme, host and port"),
        ("https://user:pass@api.example", "scheme, host and port"),
        ("https://api.example?x=1", "scheme, host and port"),
        ("api.example", "scheme, host and port"),
        ("https://api.example:99999", "scheme, host and port"),
        ("https://bücher.example", "scheme, host and port"),
        ("", "scheme, host and port"),
    ],
)
def test_an_address_that_would_not_do_is_refused_with_the_fix(given: str, said: str) -> None:
    [mistake] = mistakes(base_url=given)

    assert said in mistake
