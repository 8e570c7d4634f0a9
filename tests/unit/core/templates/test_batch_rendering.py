from __future__ import annotations

from contextlib import suppress

import pytest

from wavecom.core.job import TemplateUse
from wavecom.core.lanes import Channel
from wavecom.core.templates.batch_rendering import CHARACTERS_LIMIT, CPU_SECONDS_LIMIT, BatchRenderer
from wavecom.core.templates.rendering import Rendered, TemplateRequest
from wavecom.errors import BodyTooLargeError, InvalidRequestError, Problem


class Renderer:
    """Takes ``seconds`` for each item, and writes ``text``; refuses what names no template."""

    def __init__(self, seconds: float, text: str = "x") -> None:
        self.now = 100.0
        self._seconds = seconds
        self._text = text

    def __call__(self, _channel: Channel, wanted: TemplateRequest) -> Rendered:
        self.now += self._seconds
        if not wanted.name:
            raise InvalidRequestError([Problem("/template", "is missing", "required")])
        return Rendered({"text": self._text}, TemplateUse(wanted.name, 1, "en"))

    def of_a_batch(self) -> BatchRenderer:
        return BatchRenderer(self, lambda: self.now)


def taken(renderer: Renderer, name: str = "order") -> int:
    """How many items of one batch are rendered, or refused each for itself, before the batch is refused."""
    batch = renderer.of_a_batch()
    items = 0

    def render_all() -> None:
        nonlocal items
        for _ in range(200):
            with suppress(InvalidRequestError):
                batch(Channel.SMS, TemplateRequest(name))
            items += 1

    with pytest.raises(BodyTooLargeError) as error:
        render_all()
    assert f"first {items + 1} items" in str(error.value)
    return items


def test_a_batch_has_so_much_cpu_time_for_its_templates() -> None:
    assert taken(Renderer(CPU_SECONDS_LIMIT / 8)) == 8
    assert taken(Renderer(CPU_SECONDS_LIMIT / 128)) == 128


def test_what_is_refused_has_taken_its_time_too() -> None:
    assert taken(Renderer(CPU_SECONDS_LIMIT / 8), name="") == 8


def test_the_time_between_two_items_is_not_the_templates() -> None:
    renderer = Renderer(CPU_SECONDS_LIMIT / 10)
    batch = renderer.of_a_batch()

    for _ in range(5):
        batch(Channel.SMS, TemplateRequest("order"))
        renderer.now += CPU_SECONDS_LIMIT


def test_a_batch_has_so_many_characters() -> None:
    assert taken(Renderer(0, "x" * (CHARACTERS_LIMIT // 8))) == 8
