"""Templates for tests: a source that has everything, and the use cases over memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes import FakeClock
from tests.memory_storage import MemoryTemplateAudit, MemoryTemplateStore
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.rendering import TemplateRenderer
from wavecom.errors import Problem
from wavecom.settings import Settings

ORDER: dict[str, Any] = {
    "kind": "message",
    "defaultLocale": "en",
    "variables": {
        "name": {"type": "text", "example": "Amina", "maxLength": 60},
        "count": {"type": "number", "example": 2},
        "total": {"type": "money", "example": {"amount": "1234.50", "currency": "CHF"}},
        "link": {"type": "url", "example": "https://shop.example/orders/42"},
        "lines": {
            "type": "list",
            "example": [{"name": "Pen", "price": {"amount": "2", "currency": "CHF"}}],
            "required": False,
            "maxItems": 20,
            "fields": {"name": {"type": "text"}, "price": {"type": "money"}},
        },
    },
    "contents": {
        "en": {
            "email": {
                "subject": "Your order, {{ name }}",
                "html": '<p>{{ count | plural(one="# parcel", other="# parcels") }} for {{ total }}</p>'
                "{% for line in lines %}<p>{{ line.name }} {{ line.price }}</p>{% endfor %}"
                '<p><a href="{{ link }}">Follow it</a></p>',
            },
            "sms": {"text": "{{ name }}, your order of {{ total }} is on its way: {{ link }}"},
            "push": {"title": "On its way, {{ name }}", "body": "{{ total }}"},
        },
        "de": {"sms": {"text": "{{ name }}, Ihr Auftrag über {{ total }} kommt: {{ link }}"}},
    },
}
#: What a request gives for ``ORDER``.
VARIABLES: dict[str, Any] = {
    "name": "Bo & Co",
    "count": 1,
    "total": {"amount": "20", "currency": "EUR"},
    "link": "https://shop.example/orders/43",
}


def sms_source(text: str, **variables: Any) -> dict[str, Any]:
    """A source of one text message."""
    return {"variables": variables, "contents": {"en": {"sms": {"text": text}}}}


def no_check(_channel: Channel, _payload: Mapping[str, Any]) -> list[Problem]:
    """Where any payload will do."""
    return []


@dataclass
class TemplateEnvironment:
    """What a test can look at."""

    store: MemoryTemplateStore
    audit: MemoryTemplateAudit
    administration: TemplateAdministration
    renderer: TemplateRenderer

    @classmethod
    def over(cls, clock: Clock, settings: Settings | None = None) -> TemplateEnvironment:
        """With nothing in it; ``settings`` say who publishes, and how much there may be."""
        chosen = Settings() if settings is None else settings
        store, audit = MemoryTemplateStore(), MemoryTemplateAudit()
        renderer = TemplateRenderer(store, clock)
        ids = iter(range(1_000_000))
        administration = TemplateAdministration(
            store=store,
            audit=audit,
            clock=clock,
            new_id=lambda: f"event-{next(ids)}",
            on_published=renderer.forget,
            needs_second_person=chosen.template_review,
            templates_limit=chosen.client_templates,
            versions_limit=chosen.template_versions,
        )
        return cls(store, audit, administration, renderer)

    @classmethod
    def at(cls, clock: FakeClock) -> TemplateEnvironment:
        """The same, for tests that turn the clock."""
        return cls.over(clock)

    def publish(self, client: str, name: str, data: Mapping[str, Any]) -> int:
        """Save and publish; the version's number."""
        saved = self.administration.save("key k-1", client, name, data, check=no_check)
        self.administration.publish("key k-1", client, name, saved.version, check=no_check)
        return saved.version
