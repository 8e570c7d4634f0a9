from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from tests.factories import NOW
from tests.fakes import FakeClock
from tests.template_environment import ORDER, TemplateEnvironment, no_check, sms_source
from wavecom.core.lanes import Channel
from wavecom.core.templates.model import TemplateVersion, VersionState
from wavecom.core.templates.sources import read_source, source_json
from wavecom.errors import ForbiddenError, InvalidRequestError, Problem, TemplateNotFoundError
from wavecom.settings import Settings

NAME = {"type": "text", "example": "Amina"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def environment(clock: FakeClock) -> TemplateEnvironment:
    return TemplateEnvironment.at(clock)


def save(environment: TemplateEnvironment, data: Mapping[str, Any], name: str = "order") -> TemplateVersion:
    return environment.administration.save("key k-1", "acme", name, data, check=no_check)


def refused(environment: TemplateEnvironment, data: Mapping[str, Any], name: str = "order") -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as error:
        save(environment, data, name)
    return [(each.where, each.message) for each in error.value.problems]


def test_a_source_is_the_same_after_it_was_written_and_read() -> None:
    source, problems = read_source(ORDER)

    assert not problems
    assert source is not None
    assert source_json(source) == ORDER


def test_versions_go_from_draft_by_review_to_published_and_are_noted(
    environment: TemplateEnvironment, clock: FakeClock
) -> None:
    administration = environment.administration
    first = save(environment, ORDER)
    asked = administration.ask_review("key k-1", "acme", "order", 1)
    clock.advance(60)
    published = administration.publish("ada@ops", "acme", "order", 1, check=no_check)

    assert (first.state, asked.state, published.state) == tuple(VersionState)
    assert (published.review_asked_by, published.published_by, published.published_at) == (
        "key k-1",
        "ada@ops",
        clock.now(),
    )
    assert administration.current("acme", "order") == 1
    assert [(event.action.value, event.actor, event.version) for event in environment.audit.events] == [
        ("save_template", "key k-1", 1),
        ("ask_template_review", "key k-1", 1),
        ("publish_template", "ada@ops", 1),
    ]


def test_what_says_the_same_is_no_new_version(environment: TemplateEnvironment) -> None:
    assert [save(environment, deepcopy(ORDER)).version for _ in range(2)] == [1, 1]
    assert save(environment, sms_source("Hello")).version == 2


def test_an_older_version_is_current_again_when_it_is_published_again(
    environment: TemplateEnvironment, clock: FakeClock
) -> None:
    for text in ("one", "two"):
        environment.publish("acme", "order", sms_source(text))
        clock.advance(1)

    environment.administration.publish("ada@ops", "acme", "order", 1, check=no_check)

    assert environment.administration.current("acme", "order") == 1


def test_where_somebody_else_has_to_look_nobody_publishes_what_he_has_saved(clock: FakeClock) -> None:
    environment = TemplateEnvironment.over(clock, Settings(template_review=True))
    administration = environment.administration
    draft = save(environment, sms_source("one"))
    administration.ask_review("key k-2", "acme", "order", 1)

    with pytest.raises(ForbiddenError, match="saved by key k-1"):
        administration.publish("key k-1", "acme", "order", 1, check=no_check)
    assert administration.current("acme", "order") is None
    assert [event.action for event in environment.audit.events] == ["save_template", "ask_template_review"]

    # Saving it again makes nobody its author who was not.
    again = administration.save("key k-2", "acme", "order", sms_source("one"), check=no_check)
    administration.publish("key k-2", "acme", "order", 1, check=no_check)

    assert (again.created_by, draft.created_by) == ("key k-1", "key k-1")
    assert administration.current("acme", "order") == 1


def test_anybody_goes_back_to_what_somebody_else_has_published(clock: FakeClock) -> None:
    environment = TemplateEnvironment.over(clock, Settings(template_review=True))
    for text, version in (("one", 1), ("two", 2)):
        save(environment, sms_source(text))
        clock.advance(1)
        environment.administration.publish("key k-2", "acme", "order", version, check=no_check)
    clock.advance(1)

    environment.administration.publish("key k-1", "acme", "order", 1, check=no_check)

    assert environment.administration.current("acme", "order") == 1


def test_a_published_version_keeps_the_layout_and_partials_of_its_time(environment: TemplateEnvironment) -> None:
    environment.publish(
        "acme", "base", {"kind": "layout", "contents": {"en": {"html": "<b>{{ content }}{% include 'foot' %}</b>"}}}
    )
    environment.publish("acme", "foot", {"kind": "partial", "contents": {"en": {"html": "<i>old</i>", "text": "old"}}})
    mail = {"subject": "x", "html": "<p>Hello</p>", "layout": "base"}
    environment.publish("acme", "order", {"contents": {"en": {"email": mail}}})
    environment.publish("acme", "foot", {"kind": "partial", "contents": {"en": {"html": "<i>new</i>"}}})
    environment.administration.publish("ada@ops", "acme", "order", 1, check=no_check)

    kept = environment.administration.get("acme", "order", 1).prepared["en"]["email"]

    assert kept == {"subject": "x", "html": "<b><p>Hello</p><i>old</i></b>", "text": "Hello\n\nold\n"}


def test_a_layouts_text_stands_around_a_text_of_the_mails_own(environment: TemplateEnvironment) -> None:
    forms = {"html": "<p>{{ content }}</p>", "text": "{{ content }}\n{% include 'foot' %}"}
    environment.publish("acme", "base", {"kind": "layout", "contents": {"en": forms}})
    environment.publish("acme", "plain", {"kind": "layout", "contents": {"en": {"html": "<i>{{ content }}</i>"}}})
    environment.publish("acme", "foot", {"kind": "partial", "contents": {"en": {"text": "Legal footer"}}})
    mail = {"subject": "x", "html": "Hello", "text": "Good day."}

    texts = []
    for name in ("base", "plain"):
        version = environment.publish("acme", name + "-mail", {"contents": {"en": {"email": mail | {"layout": name}}}})
        kept = environment.administration.get("acme", name + "-mail", version).prepared
        texts.append(kept["en"]["email"]["text"])

    assert texts == ["Good day.\nLegal footer", "Good day."]


def test_a_changed_part_makes_a_new_version_of_an_unchanged_template(environment: TemplateEnvironment) -> None:
    source = sms_source("Hello. {% include 'foot' %}")
    for text in ("old", "new"):
        environment.publish("acme", "foot", {"kind": "partial", "contents": {"en": {"text": text}}})
        environment.publish("acme", "order", source)
    unchanged = save(environment, source)

    kept = [environment.administration.get("acme", "order", number).prepared["en"]["sms"] for number in (1, 2)]

    assert kept == [{"text": "Hello. old"}, {"text": "Hello. new"}]
    assert unchanged.version == 2


def test_a_version_that_is_too_large_with_its_parts_is_refused(environment: TemplateEnvironment) -> None:
    """A small request: what the partial adds in each locale is what is too large."""
    partial = {"kind": "partial", "contents": {"en": {"text": "x" * 200_000}}}
    environment.publish("acme", "large", partial)
    large = "{% include 'large' %}"
    locales = ["en", "de", "fr", "it", "es", "pt", "nl", "da", "sv"]
    contents = {
        each: {"push": {"title": large, "body": large, "data": {"a": large, "b": large, "c": large}}}
        for each in locales
    }
    events = len(environment.audit.events)

    found = refused(environment, {"contents": contents})

    assert found == [("/contents", "must have at most 8388608 bytes, with the layouts and partials of each locale")]
    assert len(environment.audit.events) == events


def test_a_draft_takes_its_parts_as_they_are_when_it_is_published(environment: TemplateEnvironment) -> None:
    part = {"kind": "partial", "contents": {"en": {"text": "old"}}}
    environment.publish("acme", "foot", part)
    save(environment, sms_source("{% include 'foot' %}"))
    environment.publish("acme", "foot", {"kind": "partial", "contents": {"en": {"text": "{{ name }}"}}})

    with pytest.raises(InvalidRequestError) as error:
        environment.administration.publish("ada@ops", "acme", "order", 1, check=no_check)

    assert error.value.problems[0].where == "/contents/en/sms/text"
    assert "not declared" in error.value.problems[0].message


def test_parts_of_other_accounts_and_drafts_are_none(environment: TemplateEnvironment) -> None:
    part = {"kind": "partial", "contents": {"en": {"text": "x"}}}
    environment.publish("other", "foot", part)
    save(environment, part, "head")

    for name in ("foot", "head"):
        [(where, message)] = refused(environment, sms_source(f"{{% include '{name}' %}}"))
        assert where == "/contents/en/sms/text"
        assert "no version of such a partial is published" in message


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({}, "/contents"),
        ({"kind": "page", "contents": {"en": {"sms": {}}}}, "/kind"),
        ({"contents": {"deutsch": {"sms": {"text": "x"}}}}, "/contents/deutsch"),
        ({"contents": {"xx": {"sms": {"text": "x"}}}}, "/contents/xx"),
        ({"contents": {"de": {"sms": {"text": "x"}}}}, "/contents"),
        ({"contents": {"en": {"fax": {"text": "x"}}}}, "/contents/en/fax"),
        ({"contents": {"en": {"sms": "x"}}}, "/contents/en/sms"),
        ({"contents": {"en": {}}}, "/contents/en"),
        ({"kind": "layout", "contents": {"en": {"html": "x"}}}, "/contents/en/html"),
        ({"kind": "partial", "contents": {"en": {"html": "{{ a"}}}, "/contents/en/html"),
        (sms_source("x", name="text"), "/variables/name"),
        (sms_source("x", name={"type": "word"}), "/variables/name/type"),
        (sms_source("x", name=NAME | {"maxLength": "3"}), "/variables/name/maxLength"),
        (sms_source("x", name=NAME | {"size": 3}), "/variables/name/size"),
        (sms_source("x", name={"type": "text"}), "/variables/name/example"),
        (sms_source("{{ surname }}", name=NAME), "/contents/en/sms/text"),
        (
            {"contents": {"en": {"email": {"subject": "x", "html": "<p>", "layout": "none"}}}},
            "/contents/en/email/layout",
        ),
        ({"contents": {"en": {"email": {"subject": "x", "layout": "none"}}}}, "/contents/en/email/layout"),
        ({"contents": {"en": {"email": {"html": "<script>{{ a }}</script>"}}}}, "/contents/en/email/html"),
    ],
)
def test_what_is_wrong_with_a_source_is_named(
    environment: TemplateEnvironment, data: dict[str, Any], where: str
) -> None:
    assert [each for each, _ in refused(environment, data)] == [where]


def test_a_name_that_is_none_is_refused(environment: TemplateEnvironment) -> None:
    assert refused(environment, ORDER, "Order Shipped")[0][0] == "/name"


def test_a_payload_that_the_examples_do_not_fit_is_refused(environment: TemplateEnvironment) -> None:
    def check(channel: Channel, payload: Mapping[str, Any]) -> list[Problem]:
        return [Problem("/text", f"of {channel}: {payload['text']}", "too_long")]

    with pytest.raises(InvalidRequestError) as error:
        environment.administration.save(
            "key k-1", "acme", "order", sms_source("Hello {{ name }}", name=NAME), check=check
        )

    [problem] = error.value.problems
    assert problem == Problem("/contents/en/sms/text", "with the examples: of sms: Hello Amina", "too_long")


def test_the_kind_of_a_template_stays(environment: TemplateEnvironment) -> None:
    save(environment, ORDER)

    part = {"kind": "partial", "contents": {"en": {"text": "x"}}}
    assert [where for where, _ in refused(environment, part)] == ["/kind"]


def test_what_there_is_not_is_said(environment: TemplateEnvironment) -> None:
    with pytest.raises(TemplateNotFoundError):
        environment.administration.get("acme", "order", 1)
    with pytest.raises(TemplateNotFoundError):
        environment.administration.versions("acme", "order", 10)
    with pytest.raises(TemplateNotFoundError):
        environment.administration.newest("acme", "order")


def test_lists_come_in_pages(environment: TemplateEnvironment) -> None:
    administration = environment.administration
    for name in ("a", "b", "c"):
        for text in ("one", "two", "three"):
            save(environment, sms_source(text), name)

    versions = [administration.versions("acme", "a", 2), administration.versions("acme", "a", 2, 2)]
    templates = [administration.templates("acme", 2), administration.templates("acme", 2, ("acme", "b"))]

    assert [([each.version for each in page.items], page.next) for page in versions] == [([3, 2], 2), ([1], None)]
    assert [([each.newest.name for each in page.items], page.next) for page in templates] == [
        (["a", "b"], ("acme", "b")),
        (["c"], None),
    ]
    assert administration.versions("acme", "a", 3).next is None
    assert administration.versions("acme", "a", 3, 1).items == []


def test_an_account_has_so_many_templates(clock: FakeClock) -> None:
    environment = TemplateEnvironment.over(clock, Settings(client_templates=2))
    for name in ("a", "b"):
        save(environment, sms_source("one"), name)
    environment.administration.save("key k-1", "other", "c", sms_source("one"), check=no_check)

    [(where, text)] = refused(environment, sms_source("one"), "c")

    assert where == ""
    assert "has 2 templates, as many as it may have" in text
    assert save(environment, sms_source("two"), "b").version == 2


def test_a_template_has_so_many_versions(clock: FakeClock) -> None:
    environment = TemplateEnvironment.over(clock, Settings(template_versions=2))
    for text in ("one", "two"):
        save(environment, sms_source(text))

    [(where, text)] = refused(environment, sms_source("three"))

    assert where == ""
    assert "'order' has 2 versions, and may have 2" in text
    assert save(environment, sms_source("two")).version == 2, "which says the same is no new version"
    assert save(environment, sms_source("one"), "other").version == 1


def test_a_version_that_cant_be_read_is_followed_by_a_new_one(environment: TemplateEnvironment) -> None:
    save(environment, ORDER)
    environment.store.unreadable.add(("acme", "order", 1))

    assert save(environment, ORDER).version == 2
