from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.template_environment import TemplateEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.prices import PriceRange
from wavecom.core.sms import Segments
from wavecom.core.templates.previews import MAIL_LIMIT_BYTES, Preview, previews


def preview(channel: str, content: dict[str, Any], **variables: Any) -> Preview:
    environment = TemplateEnvironment.over(FakeClock())
    number = environment.publish("acme", "t", {"variables": variables, "contents": {"en": {channel: content}}})
    [found] = previews(environment.renderer.compiled(environment.administration.get("acme", "t", number)))
    return found


@pytest.mark.parametrize(
    ("channel", "content", "hint"),
    [
        ("email", {"subject": "x", "text": "y"}, "no HTML"),
        ("email", {"subject": "x", "html": "y" * (MAIL_LIMIT_BYTES + 1)}, "Gmail"),
        ("email", {"subject": "x" * 61, "html": "y"}, "61 characters"),
        ("email", {"subject": "BUY IT NOW", "html": "y"}, "capitals"),
        ("email", {"subject": "Buy!!", "html": "y"}, "exclamation"),
        ("email", {"subject": "x", "html": "<img src='a.png'>"}, "without alt"),
        ("sms", {"text": "5 \u20ac \u2192 now \u2192"}, "lacks: \u2192"),
        ("sms", {"text": "x" * 161}, "2 segments"),
        ("push", {"body": "x" * 179}, "179 characters"),
    ],
)
def test_what_may_go_wrong_is_said(channel: str, content: dict[str, Any], hint: str) -> None:
    assert any(hint in each for each in preview(channel, content).hints)


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("email", {"subject": "Your order", "html": "<p>y</p>"}),
        ("sms", {"text": "Your order"}),
        ("push", {"body": "Your order"}),
    ],
)
def test_what_is_well_has_no_hints(channel: str, content: dict[str, Any]) -> None:
    assert preview(channel, content).hints == ()


def test_a_text_message_is_counted_with_its_examples_and_with_the_longest_values() -> None:
    found = preview("sms", {"text": "Hello {{ name }}"}, name={"type": "text", "example": "Amina", "maxLength": 300})

    assert (found.sms, found.sms_longest) == (Segments("GSM-7", 1), Segments("GSM-7", 2))
    assert found.size_bytes == len("Hello Amina")


def test_a_text_message_costs_from_these_values_to_the_longest() -> None:
    environment = TemplateEnvironment.over(FakeClock())
    name = {"type": "text", "example": "Amina", "maxLength": 300}
    content = {"sms": {"text": "Hello {{ name }}"}, "push": {"body": "Hello {{ name }}"}}
    number = environment.publish("acme", "t", {"variables": {"name": name}, "contents": {"en": content}})
    compiled = environment.renderer.compiled(environment.administration.get("acme", "t", number))
    price = PriceRange("EUR", Decimal("0.02"), Decimal("0.05"))

    push, sms = previews(compiled, prices=[price])
    [longer] = previews(compiled, channel=Channel.SMS, variables={"name": "x" * 290}, prices=[price])

    assert push.cost == ()
    assert sms.cost == (PriceRange("EUR", Decimal("0.02"), Decimal("0.10")),)
    assert longer.cost == (PriceRange("EUR", Decimal("0.04"), Decimal("0.10")),)
