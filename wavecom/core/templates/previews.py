"""How a version looks with its examples or with given values: its payloads, what they take, what may go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from wavecom.core.lanes import Channel
from wavecom.core.prices import PriceRange
from wavecom.core.sms import Segments, segments, unusual_characters
from wavecom.core.templates.rendering import CompiledVersion, TemplateRequest
from wavecom.core.templates.variables import examples_of, longest_examples_of
from wavecom.errors import InvalidRequestError

#: Gmail shows so much of a mail's HTML, and hides the rest behind a link.
MAIL_LIMIT_BYTES: Final = 102 * 1024
#: Characters of a subject, and of a push message's text, that phones show.
_SUBJECT_SHOWN: Final = 60
_BODY_SHOWN: Final = 178
_CAPITALS: Final = 0.6


@dataclass(frozen=True, slots=True)
class Preview:
    """One payload. ``locale`` is that of its words. Of text messages ``sms`` is what it takes, ``sms_longest`` what it
    takes with the longest values that the variables allow, and ``cost`` what it costs: from these values at the lowest
    price to the longest at the highest, in each currency. ``hints`` are sentences for its author."""

    channel: Channel
    locale: str
    payload: Mapping[str, Any]
    size_bytes: int
    hints: tuple[str, ...]
    sms: Segments | None = None
    sms_longest: Segments | None = None
    cost: tuple[PriceRange, ...] = ()


def previews(
    compiled: CompiledVersion,
    *,
    channel: Channel | None = None,
    locale: str | None = None,
    variables: Mapping[str, Any] | None = None,
    prices: Sequence[PriceRange] = (),
) -> list[Preview]:
    """The payloads of one channel, or of each that the version has; ``variables`` None: the examples.

    ``prices``: what a segment costs.

    Raises ``InvalidRequestError`` as sending would.
    """
    version = compiled.version
    declared = version.source.variables
    wanted = TemplateRequest(version.name, examples_of(declared) if variables is None else variables, locale=locale)
    longest = replace(wanted, variables=longest_examples_of(declared))
    there_are = {Channel(name) for channels in version.prepared.values() for name in channels if name in set(Channel)}
    found = []
    for each in sorted(there_are) if channel is None else [channel]:
        rendered = compiled.render(each, wanted)
        sms = segments(rendered.payload["text"]) if each is Channel.SMS else None
        sms_longest = None
        if each is Channel.SMS:
            try:
                sms_longest = segments(compiled.render(each, longest).payload["text"])
            except InvalidRequestError:
                sms_longest = None  # too long to be made at all
        cost: tuple[PriceRange, ...] = ()
        if sms is not None:
            # Values that were given may be longer than those that make the longest text of an alternative.
            most = max(sms.count, 0 if sms_longest is None else sms_longest.count)
            cost = tuple(price.of_segments(sms.count, most) for price in prices)
        hints = tuple(_HINTS[each](rendered.payload))
        size = len(str(rendered.payload.get("html", rendered.payload.get("text", ""))).encode())
        found.append(Preview(each, rendered.use.locale, rendered.payload, size, hints, sms, sms_longest, cost))
    return found


def _mail_hints(payload: Mapping[str, Any]) -> list[str]:
    subject, html = str(payload.get("subject", "")), payload.get("html")
    hints = []
    if html is None:
        hints.append("It has no HTML: links and figures are easier to read with it.")
    elif (size := len(html.encode())) > MAIL_LIMIT_BYTES:
        hints.append(f"Its HTML has {size} bytes; Gmail shows the first {MAIL_LIMIT_BYTES} and hides the rest.")
    if len(subject) > _SUBJECT_SHOWN:
        hints.append(f"Its subject has {len(subject)} characters; phones show the first {_SUBJECT_SHOWN}.")
    letters = [each for each in subject if each.isalpha()]
    if len(letters) > 5 and sum(each.isupper() for each in letters) / len(letters) > _CAPITALS:
        hints.append("Its subject is mostly in capitals, which spam filters count against it.")
    if "!!" in subject or subject.count("!") > 1:
        hints.append("Its subject has several exclamation marks, which spam filters count against it.")
    if html is not None and html.count("<img") > html.count("alt="):
        hints.append("It has pictures without alt: who sees no pictures reads nothing there.")
    return hints


def _sms_hints(payload: Mapping[str, Any]) -> list[str]:
    text = str(payload.get("text", ""))
    taken = segments(text)
    hints = []
    if taken.encoding != "GSM-7":
        characters = " ".join(unusual_characters(text)[:10])
        hints.append(f"A segment holds 70 characters instead of 160 because of these, which GSM-7 lacks: {characters}")
    if taken.count > 1:
        hints.append(f"It takes {taken.count} segments, and each is charged.")
    return hints


def _push_hints(payload: Mapping[str, Any]) -> list[str]:
    body = str(payload.get("body", ""))
    if len(body) > _BODY_SHOWN:
        return [f"Its text has {len(body)} characters; phones show the first {_BODY_SHOWN}."]
    return []


_HINTS: Final = {Channel.EMAIL: _mail_hints, Channel.SMS: _sms_hints, Channel.PUSH: _push_hints}
