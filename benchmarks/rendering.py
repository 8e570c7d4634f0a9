"""What a notification by template costs more than one with its payload, without servers.

    python -m benchmarks.rendering [--repeats 5] [--json]

Renders the mail and the text message of an order (six variables, a list of five lines, money and dates by locale) and
validates them, by template and as payloads. CPU time of this process, the best of the repeats, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from tests.fakes import FakeClock
from tests.template_environment import TemplateEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.templates.rendering import TemplateRequest
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.schemas.templated import TemplatedRequest

_CALLS: Final = 2_000
#: What a rendering may cost.
GOAL_MICROSECONDS: Final = 150

SOURCE: Final[dict[str, Any]] = {
    "defaultLocale": "en",
    "variables": {
        "name": {"type": "text", "example": "Amina"},
        "count": {"type": "number", "example": 5},
        "total": {"type": "money", "example": {"amount": "1234.50", "currency": "CHF"}},
        "due": {"type": "date", "example": "2026-03-14"},
        "link": {"type": "url", "example": "https://shop.example/orders/42"},
        "lines": {
            "type": "list",
            "maxItems": 20,
            "fields": {"title": {"type": "text"}, "price": {"type": "money"}},
            "example": [
                {"title": f"Pen {number}", "price": {"amount": "2.40", "currency": "CHF"}} for number in range(5)
            ],
        },
    },
    "contents": {
        "de": {
            "email": {
                "subject": "Ihr Auftrag kommt, {{ name }}",
                "html": "<style>p { margin: 0 }</style>"
                "<p>{{ count | plural(one='# Paket', other='# Pakete') }} am {{ due }}</p><table>"
                "{% for line in lines %}<tr><td>{{ line.title }}</td><td>{{ line.price }}</td></tr>{% endfor %}</table>"
                '<p>{{ total }} <a href="{{ link }}">Verfolgen</a></p>',
            },
            "sms": {"text": "{{ name }}, Ihr Auftrag über {{ total }} kommt am {{ due }}: {{ link }}"},
        },
        "en": {"sms": {"text": "{{ name }}, your order of {{ total }} arrives on {{ due }}: {{ link }}"}},
    },
}


def main() -> None:
    """Measure, by the arguments of the command line, and print. Ends with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="the best of so many counts")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found = {channel.value: _figures(channel, arguments.repeats) for channel in (Channel.SMS, Channel.EMAIL)}
    if arguments.as_json:
        print(json.dumps(found))
    else:
        for channel, figures in found.items():
            print(f"{channel}: " + ", ".join(f"{name} {value:.0f} µs" for name, value in figures.items()))
    if any(figures["rendering"] > GOAL_MICROSECONDS for figures in found.values()):
        raise SystemExit(1)


def _figures(channel: Channel, repeats: int) -> dict[str, float]:
    environment = TemplateEnvironment.over(FakeClock())
    environment.publish("acme", "order", SOURCE)
    variables = {name: each["example"] for name, each in SOURCE["variables"].items()}
    wanted = TemplateRequest("order", variables, locale="de-CH")
    renderer = environment.renderer
    payload = renderer.render("acme", channel, wanted).payload
    to = {"phone": "+447700900123"} if channel is Channel.SMS else {"email": "amina@example.com"}
    schema = NotificationSchema(lambda: datetime.now(UTC))
    plain = {"type": channel.value, "to": to, "payload": payload}
    templated = {"type": channel.value, "to": to, "template": "order", "locale": "de-CH", "variables": variables}

    def by_template() -> None:
        request = schema.load(templated)
        assert isinstance(request, TemplatedRequest)  # noqa: S101 - for the type
        request.completed(lambda each, choice: renderer.render("acme", each, choice))

    return {
        "rendering": _microseconds(lambda: renderer.render("acme", channel, wanted), repeats),
        "validated as a payload": _microseconds(lambda: schema.load(plain), repeats),
        "rendered and validated by template": _microseconds(by_template, repeats),
    }


def _microseconds(call: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(_CALLS):
            call()
        best = min(best, (time.process_time() - began) / _CALLS * 1e6)
    return best


if __name__ == "__main__":
    main()
