from __future__ import annotations

from typing import Any

import pytest

from tests.factories import NOW
from tests.fakes import FakeClock
from tests.template_environment import ORDER, VARIABLES, TemplateEnvironment, no_check, sms_source
from wavecom.core.job import TemplateUse
from wavecom.core.lanes import Channel
from wavecom.core.sms import Segments, segments
from wavecom.core.templates.rendering import NotCompiledError, Rendered, TemplateRenderer, TemplateRequest
from wavecom.errors import InvalidRequestError


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def environment(clock: FakeClock) -> TemplateEnvironment:
    found = TemplateEnvironment.at(clock)
    found.publish("acme", "order", ORDER)
    return found


def rendered(environment: TemplateEnvironment, channel: Channel = Channel.SMS, **wanted: Any) -> Rendered:
    fields: dict[str, Any] = {"name": "order", "variables": VARIABLES}
    return environment.renderer.render("acme", channel, TemplateRequest(**(fields | wanted)))


def refused(environment: TemplateEnvironment, channel: Channel = Channel.SMS, **wanted: Any) -> list[str]:
    with pytest.raises(InvalidRequestError) as error:
        rendered(environment, channel, **wanted)
    return [each.where for each in error.value.problems]


def test_a_mail_has_its_html_escaped_and_a_text_of_its_own(environment: TemplateEnvironment) -> None:
    payload = rendered(environment, Channel.EMAIL).payload

    assert payload == {
        "subject": "Your order, Bo & Co",
        "html": '<p>1 parcel for €20.00</p><p><a href="https://shop.example/orders/43">Follow it</a></p>',
        "text": "1 parcel for €20.00\n\nFollow it (https://shop.example/orders/43)\n",
    }


@pytest.mark.parametrize(
    ("asked", "words", "money"),
    [
        (None, "en", "€20.00"),
        ("de", "de", "20,00 €"),
        ("de-CH", "de", "EUR 20.00"),
        ("de_at", "de", "€ 20,00"),
        ("en-GB", "en", "€20.00"),
        ("fr", "en", "€20.00"),
    ],
)
def test_words_come_from_the_nearest_locale_and_figures_from_the_one_asked_for(
    environment: TemplateEnvironment, asked: str | None, words: str, money: str
) -> None:
    found = rendered(environment, locale=asked)

    assert found.use == TemplateUse("order", 1, words)
    assert money in found.payload["text"]


def test_a_text_message_has_no_space_that_would_double_its_segments(environment: TemplateEnvironment) -> None:
    text = rendered(environment, locale="de-CH", variables=VARIABLES | {"name": "Bo\u202fCo"}).payload["text"]

    assert segments(text) == Segments("GSM-7", 1)


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ({"name": "bill"}, ["/template"]),
        ({"name": "bill", "version": 1}, ["/template"]),
        ({"version": 2}, ["/version"]),
        ({"locale": "german"}, ["/locale"]),
        ({"variables": {}}, ["/variables/name", "/variables/count", "/variables/total", "/variables/link"]),
        ({"variables": VARIABLES | {"lines": [{"name": 1}]}}, ["/variables/lines/0/name", "/variables/lines/0/price"]),
        ({"variables": VARIABLES | {"link": "javascript:x"}}, ["/variables/link"]),
    ],
)
def test_what_is_wrong_with_a_request_is_named(
    environment: TemplateEnvironment, wanted: dict[str, Any], where: list[str]
) -> None:
    assert refused(environment, **wanted) == where


def test_a_channel_without_a_content_and_a_layout_are_not_sent(environment: TemplateEnvironment) -> None:
    environment.publish("acme", "short", sms_source("x"))
    environment.publish("acme", "part", {"kind": "partial", "contents": {"en": {"text": "x"}}})

    assert refused(environment, Channel.PUSH, name="short", variables={}) == ["/template"]
    assert refused(environment, name="part", variables={}) == ["/template"]


def test_drafts_and_other_accounts_templates_are_not_sent(environment: TemplateEnvironment) -> None:
    environment.administration.save("key k-1", "acme", "order", sms_source("draft"), check=no_check)
    environment.publish("acme:test", "order", sms_source("test"))

    assert refused(environment, version=2) == ["/version"]
    assert rendered(environment).use.version == 1


def test_a_new_version_is_sent_at_once_here_and_within_seconds_elsewhere(
    environment: TemplateEnvironment, clock: FakeClock
) -> None:
    elsewhere = TemplateRenderer(environment.store, clock)
    wanted = TemplateRequest("order", VARIABLES)
    elsewhere.render("acme", Channel.SMS, wanted)
    clock.advance(1)
    environment.publish("acme", "order", sms_source("new"))

    wanted = TemplateRequest("order", {})
    assert environment.renderer.render("acme", Channel.SMS, wanted).use.version == 2
    with pytest.raises(InvalidRequestError):
        elsewhere.render("acme", Channel.SMS, wanted)
    clock.advance(2)
    assert elsewhere.render("acme", Channel.SMS, wanted).payload == {"text": "new"}


def test_a_version_is_read_and_compiled_once(environment: TemplateEnvironment) -> None:
    rendered(environment)
    before = environment.store.reads

    for _ in range(5):
        rendered(environment, locale="de")

    assert environment.store.reads == before


def test_only_so_many_versions_are_kept(clock: FakeClock) -> None:
    environment = TemplateEnvironment.at(clock)
    for name in ("a", "b", "c"):
        environment.publish("acme", name, sms_source(name))
    renderer = TemplateRenderer(environment.store, clock, kept_versions=2)

    def reads(name: str) -> int:
        before = environment.store.reads
        renderer.render("acme", Channel.SMS, TemplateRequest(name))
        return environment.store.reads - before

    assert [reads(name) for name in ("a", "b", "a", "c", "a", "b")] == [2, 2, 0, 2, 0, 1]


def test_large_versions_leave_earlier_and_the_last_one_always_stays(clock: FakeClock) -> None:
    environment = TemplateEnvironment.at(clock)
    for name, length in (("a", 10), ("b", 1_000), ("c", 3_000)):
        environment.publish("acme", name, sms_source("x" * length))
    renderer = TemplateRenderer(environment.store, clock, kept_characters=2_000)

    def reads(name: str) -> int:
        before = environment.store.reads
        renderer.render("acme", Channel.SMS, TemplateRequest(name))
        return environment.store.reads - before

    assert [reads(name) for name in ("a", "b", "a", "c", "c", "a")] == [2, 2, 0, 2, 0, 1]


def test_a_version_that_cant_be_read_is_refused_by_its_name(environment: TemplateEnvironment) -> None:
    environment.store.unreadable.add(("acme", "order", 1))

    with pytest.raises(InvalidRequestError) as error:
        rendered(environment)

    [problem] = error.value.problems
    assert problem.where == "/template"
    assert "Version 1 of 'order' can't be read by this release" in problem.message


def test_what_is_looked_at_again_is_not_compiled_again(environment: TemplateEnvironment) -> None:
    draft = environment.administration.save("key k-1", "acme", "draft", sms_source("words"), check=no_check)
    renderer = environment.renderer

    seen = [renderer.compiled(environment.administration.get("acme", "draft", draft.version)) for _ in range(2)]
    published = environment.administration.publish("key k-1", "acme", "draft", draft.version, check=no_check)

    assert seen[0] is seen[1]
    # Publishing has put its layout and partials in place anew.
    assert renderer.compiled(published).version == published
    assert renderer.compiled(published) is renderer.compiled(published)


def test_a_draft_that_was_looked_at_is_not_sent(environment: TemplateEnvironment) -> None:
    draft = environment.administration.save("key k-1", "acme", "draft", sms_source("words"), check=no_check)
    wanted = TemplateRequest("draft", version=draft.version)
    environment.renderer.compiled(draft).render(Channel.SMS, wanted)

    with pytest.raises(NotCompiledError):
        environment.renderer.render_now("acme", Channel.SMS, wanted)
    with pytest.raises(InvalidRequestError):
        environment.renderer.render("acme", Channel.SMS, wanted)


def test_a_content_is_compiled_once_for_all_locales_that_are_asked_for(environment: TemplateEnvironment) -> None:
    """The recipient's locale is a client's to choose: what it costs must not be the size of the template."""
    rendered(environment, locale="en-GB")

    found = [
        environment.renderer.render_now("acme", Channel.SMS, TemplateRequest("order", VARIABLES, locale=f"en-{region}"))
        for region in ("IN", "CH", "US", "DE")
    ]

    assert all(each.use.locale == "en" for each in found)
    assert len({each.payload["text"] for each in found}) > 1


def test_a_constant_is_shown_in_the_locale_that_is_asked_for(environment: TemplateEnvironment) -> None:
    environment.publish("acme", "const", sms_source("{{ 1234.5 }} {{ 0.5 | percent }}"))

    texts = [rendered(environment, name="const", variables={}, locale=each).payload["text"] for each in ("en", "en-CH")]

    assert texts == ["1,234.5 50%", "1'234.5 50%"]
