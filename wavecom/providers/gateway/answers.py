"""What a gateway's answers mean beyond their status: by a place in their JSON, or by their text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from marshmallow import ValidationError

from wavecom.core.job import ACCOUNT_REASONS, Outcome, Reason, Scope
from wavecom.providers.configuration.options import text
from wavecom.providers.gateway.fields import pattern, pointer
from wavecom.providers.responses import AnswerMeaning
from wavecom.providers.responses.details import LONGEST_ID
from wavecom.providers.transport import Response

#: Looked through at most: an answer that says something says it early.
_LONGEST_TEXT: Final = 16_384
#: A code that may stand in a job's log: no number or address of anybody fits.
_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}|-?[0-9]{1,6}")
_ACCOUNT: Final = frozenset(each.value for each in ACCOUNT_REASONS)
_OUTCOMES: Final = tuple(each.value for each in Outcome)
_REASONS: Final = tuple(each.value for each in Reason if each not in {Reason.SUPPRESSED, Reason.UNWANTED})


def check_status(value: str) -> None:
    """Raises ``ValidationError`` for what is neither a status nor a class of them."""
    if not re.fullmatch("[1-5]([0-9]{2}|xx)", value):
        raise ValidationError('must be a status or a class of them, in quotes: "200", "4xx"')


class ParsedAnswer:
    """One answer, its JSON and text read once and only where somebody asks."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self._json: list[Any] = []
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """The beginning of the body."""
        if not self._text:
            self._text.append(self.response.body[:_LONGEST_TEXT].decode(errors="replace"))
        return self._text[0]

    def at(self, place: str) -> str | None:
        """What stands at a JSON pointer (RFC 6901), as text (``true``, ``42``); None for nothing, a table or a list."""
        if not self._json:
            try:
                self._json.append(orjson.loads(self.response.body))
            except orjson.JSONDecodeError:
                self._json.append(None)
        found = self._json[0]
        for raw in place.split("/")[1:]:
            step = raw.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                return None
        if isinstance(found, bool):
            return "true" if found else "false"
        return str(found) if isinstance(found, str | int | float) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLocation:
    """Where to read something: ``{ at = "/id" }``, or the first group of ``{ text = "ID: (.*)" }``."""

    at: Annotated[str | None, pointer()] = None
    text: Annotated[re.Pattern[str] | None, pattern()] = None

    def __post_init__(self) -> None:
        if (self.at is None) is (self.text is None):
            raise ValidationError("needs one of the keys at and text", "at")
        if self.text is not None and self.text.groups != 1:
            raise ValidationError("must have one group in brackets: what is read", "text")

    def of(self, answer: ParsedAnswer) -> str | None:
        """What stands there; None for nothing."""
        if self.at is not None:
            return answer.at(self.at) or None
        found = self.text.search(answer.text) if self.text is not None else None
        return (found[1] or None) if found is not None else None

    def id_of(self, answer: ParsedAnswer) -> str | None:
        """The gateway's name for the message, without what can't be printed."""
        found = self.of(answer)
        return (found and "".join(filter(str.isprintable, found[: 2 * LONGEST_ID]))[:LONGEST_ID]) or None

    def code_of(self, answer: ParsedAnswer) -> str | None:
        """The gateway's own code; None for what has not the form of one, since it may be anything."""
        found = self.of(answer)
        return found if found is not None and _CODE.fullmatch(found) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRule:
    """What an answer means that fulfils all that is asked here."""

    outcome: Annotated[str, text(choices=_OUTCOMES)]
    #: A status or a class of them.
    status: Annotated[str | None, text(check=check_status)] = None
    #: Together with ``matches``: a place in the JSON, and what all of it must be.
    at: Annotated[str | None, pointer()] = None
    matches: Annotated[re.Pattern[str] | None, pattern()] = None
    #: Found anywhere in the body.
    text: Annotated[re.Pattern[str] | None, pattern()] = None
    reason: Annotated[str | None, text(choices=_REASONS)] = None

    def __post_init__(self) -> None:
        if (self.at is None) is not (self.matches is None):
            raise ValidationError("at and matches belong together: a place, and what must stand there", "at")
        if self.reason is not None and (self.outcome == "accepted" or not self._fits()):
            wanted = "unavailable" if self.reason in _ACCOUNT else "rejected"
            raise ValidationError(f"{self.reason} goes with the outcome {wanted}", "reason")

    def _fits(self) -> bool:
        return self.outcome == ("unavailable" if self.reason in _ACCOUNT else "rejected")

    def applies_to(self, answer: ParsedAnswer) -> bool:
        """Whether ``answer`` fulfils all."""
        status = answer.response.status
        if self.status is not None and self.status not in (str(status), f"{status // 100}xx"):
            return False
        if self.at is not None and self.matches is not None:
            found = answer.at(self.at)
            if found is None or not self.matches.fullmatch(found):
                return False
        return self.text is None or self.text.search(answer.text) is not None

    @property
    def looks_into_bodies(self) -> bool:
        """Whether more than the status is asked for."""
        return self.at is not None or self.text is not None

    @property
    def meaning(self) -> AnswerMeaning:
        """As a provider's table has it."""
        reason = None if self.reason is None else Reason(self.reason)
        if self.reason in _ACCOUNT:
            return AnswerMeaning(Outcome(self.outcome), Scope.PROVIDER, reason=reason)
        return AnswerMeaning.of(Outcome(self.outcome)) if reason is None else AnswerMeaning.recipient(reason)


def first_rule(rules: Sequence[AnswerRule], answer: ParsedAnswer) -> AnswerRule | None:
    """The first rule that applies; None: the status decides."""
    return next((rule for rule in rules if rule.applies_to(answer)), None)
