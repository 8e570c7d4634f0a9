from __future__ import annotations

from typing import Any

import pytest

from wavecom.providers.gateway.templates import InvalidTemplateError, Template

VALUES: dict[str, Any] = {
    "job_id": "job-1",
    "to": {"phone": "+447700900123"},
    "payload": {"text": 'a "quoted" {{ text }}', "badge": 3},
    "metadata": {"vip": True},
    "attempt": 1,
}


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("plain", "plain"),
        (7, 7),
        ("{{ to.phone }}", "+447700900123"),
        ("To {{ to.phone }}!", "To +447700900123!"),
        ("{{ payload.text }}", 'a "quoted" {{ text }}'),
        ("{{ attempt }}", 1),
        ("{{ payload.badge + 1 }}", 4),
        ("{{ metadata.vip }}", True),
        ("{{ payload.senderId | default('SHOP') }}", "SHOP"),
        ("{% if metadata.vip %}fast{% else %}slow{% endif %}", "fast"),
        ("{{ payload | json }}", '{"text":"a \\"quoted\\" {{ text }}","badge":3}'),
        ({"a": {"b": ["{{ attempt }}", "c"]}}, {"a": {"b": [1, "c"]}}),
        ({"a": "{{ payload.senderId | default(omit) }}", "b": "c"}, {"b": "c"}),
        (["{{ payload.senderId | default(omit) }}", "b"], ["b"]),
    ],
)
def test_a_template_is_filled_in(source: object, rendered: object) -> None:
    assert Template(source).render(VALUES) == rendered


@pytest.mark.parametrize(
    ("source", "path", "text"),
    [
        ({"a": {"b": "{{ to.phone"}}, ("a", "b"), "is no template"),
        (["x", "{% if %}"], (1,), "is no template"),
        ("{{ phone }}", (), "uses phone, which is not known"),
        ("{{ to.phone | nonsense }}", (), "No filter named"),
    ],
)
def test_what_can_not_be_compiled_is_told_with_its_place(source: object, path: tuple[object, ...], text: str) -> None:
    with pytest.raises(InvalidTemplateError) as caught:
        Template(source)

    assert caught.value.path == path
    assert text in caught.value.text


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ payload.senderId }}", "there is no senderId"),
        ("{{ payload.senderId | upper }}", "there is no senderId"),
        ("From {{ payload.senderId }}", "there is no senderId"),
        ("{{ to.phone + 1 }}", "TypeError"),
        ("{{ payload.text.__class__.__mro__ }}", "SecurityError"),
        ("{{ payload.update({'a': 1}) }}", "SecurityError"),
    ],
)
def test_what_can_not_be_filled_in_is_told_without_the_message(source: str, reason: str) -> None:
    template = Template({"deep": ["fine {{ attempt }}", "{{ attempt }}", source]})

    with pytest.raises(InvalidTemplateError) as caught:
        template.render(VALUES)

    assert caught.value.path == ("deep", 2)
    assert reason in caught.value.text
    assert "7700" not in caught.value.text


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("{{ payload.text }}", {"text"}),
        ({"a": "{{ payload['text'] }}", "b": "{{ payload.title | default('') }}"}, {"text", "title"}),
        ("{{ to.phone }}", set()),
        ("{{ payload | json }}", None),
        ("{{ payload.text }}{{ payload | json }}", None),
        ("{% for name in payload %}{{ name }}{% endfor %}", None),
        ("{{ payload[job_id] }}", None),
    ],
)
def test_a_template_knows_which_fields_of_a_payload_it_sends(source: object, fields: set[str] | None) -> None:
    found = Template(source).payload_fields

    assert found == (None if fields is None else frozenset(fields))


def test_only_the_names_that_are_given_are_known() -> None:
    assert Template("{{ body }}", ("body",)).render({"body": "x"}) == "x"
    with pytest.raises(InvalidTemplateError):
        Template("{{ to.phone }}", ("body",))
