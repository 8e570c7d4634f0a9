"""An access token that one thread gets for all calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from wavecom.core.job import Reason
from wavecom.providers.tokens.refreshed import RefreshedToken, Token, TokenError

# What never comes would be waited for for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

MakeToken = Callable[..., RefreshedToken]


class Source:
    """Gives token-1, token-2, …, or the errors put in its way; counts, and can be waited for."""

    def __init__(self, *errors: Exception, lives_seconds: float = 3600) -> None:
        self.errors = list(errors)
        self.lives_seconds = lives_seconds
        self.count = 0
        self.asked_twice = threading.Event()

    def __call__(self) -> Token:
        self.count += 1
        if self.count == 2:
            self.asked_twice.set()
        if self.errors:
            raise self.errors.pop(0)
        return Token(f"token-{self.count}", self.lives_seconds)


@pytest.fixture
def made() -> Iterator[MakeToken]:
    with ExitStack() as opened:

        def make(source: Source, **settings: float) -> RefreshedToken:
            token = RefreshedToken("it", source, **settings)
            opened.callback(token.close)
            return token

        yield make


def test_nothing_is_asked_for_before_the_first_call(made: MakeToken) -> None:
    source = Source()

    token = made(source)

    assert token.current is None
    assert source.count == 0


def test_all_who_wait_get_the_one_token(made: MakeToken) -> None:
    source = Source()
    token = made(source)

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: token.wait(30), range(64)))

    assert found == {"token-1"}
    assert token.current == "token-1"
    assert source.count == 1


def test_it_is_got_anew_before_it_ends(made: MakeToken) -> None:
    # After three quarters of two seconds.
    source = Source(lives_seconds=2)
    token = made(source)

    assert token.wait(30) == "token-1"

    assert source.asked_twice.wait(30)
    assert token.wait(30) in {"token-1", "token-2", "token-3"}


def test_a_failure_is_told_to_who_waits_with_its_reason(made: MakeToken) -> None:
    token = made(Source(TokenError("invalid_grant", Reason.CREDENTIALS)), first_pause_seconds=3600)

    with pytest.raises(TokenError, match="invalid_grant") as caught:
        token.wait(30)

    assert caught.value.reason is Reason.CREDENTIALS


def test_after_a_failure_it_is_tried_again(made: MakeToken) -> None:
    source = Source(TokenError("away"))
    token = made(source, first_pause_seconds=0.01)

    with pytest.raises(TokenError):
        token.wait(30)
    assert source.asked_twice.wait(30)


def test_a_bug_is_a_failure_without_its_text(made: MakeToken) -> None:
    token = made(Source(ValueError("s3cret")), first_pause_seconds=3600)

    with pytest.raises(TokenError) as caught:
        token.wait(30)

    assert "s3cret" not in str(caught.value)


def test_a_refused_token_is_replaced_once(made: MakeToken) -> None:
    source = Source()
    token = made(source, young_seconds=0)
    token.wait(30)

    assert token.refused()

    assert source.asked_twice.wait(30)
    assert token.wait(30) == "token-2"
    # Calls that were under way with the old one change nothing any more.
    assert token.refused()
    assert source.count == 2


def test_a_young_token_is_not_what_is_wrong(made: MakeToken) -> None:
    source = Source()
    token = made(source)
    token.wait(30)

    assert not token.refused()
    assert token.current == "token-1"
    assert source.count == 1


def test_a_token_is_never_shown() -> None:
    assert "s3cret" not in repr(Token("s3cret", 1))
