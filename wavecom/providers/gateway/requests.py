"""The table ``request`` of a gateway: method, query and body as templates, and how requests prove who sends them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from marshmallow import ValidationError

from wavecom.core.ports import Message
from wavecom.providers.base import UnsendableError
from wavecom.providers.base_http import form_body, json_body
from wavecom.providers.configuration.options import text, tuple_of
from wavecom.providers.gateway.fields import table_of, template, template_table
from wavecom.providers.gateway.signing import BasicOptions, SignOptions
from wavecom.providers.gateway.templates import InvalidTemplateError, Template, values_of
from wavecom.providers.transport.port import Method

#: ``text/xml``, ``application/xml``, and what is written in it, such as ``application/soap+xml`` (RFC 7303).
_XML: Final = re.compile(r"[^;]*[/+]xml\s*(;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RequestOptions:
    """What is sent in place of the job's own words. At most one of ``json``, ``form`` and ``body`` is the body."""

    method: Annotated[Method, text(choices=("POST", "GET", "PUT"))] = "POST"
    query: Annotated[Template | None, template_table()] = None
    json: Annotated[Template | None, template()] = None
    form: Annotated[Template | None, template_table()] = None
    #: Any other body: its text, and ``content_type``; where that is XML, values are escaped.
    body: Annotated[Template | None, template()] = None
    content_type: Annotated[str, text()] = "text/plain; charset=utf-8"
    basic: Annotated[BasicOptions | None, table_of(BasicOptions)] = None
    sign: Annotated[SignOptions | None, table_of(SignOptions)] = None
    #: Fields of a payload that may go unsent; any other that no template uses makes the message unsendable here.
    ignore: Annotated[tuple[str, ...], tuple_of(text(), 'must be a list of names such as ["senderId"]')] = ()

    def __post_init__(self) -> None:
        bodies = [name for name in ("json", "form", "body") if getattr(self, name) is not None]
        if len(bodies) > 1:
            raise ValidationError(f"stands beside {bodies[0]}; a request has one body", bodies[1])
        if bodies and self.method == "GET":
            raise ValidationError("goes with POST or PUT; a GET has no body: use query", bodies[0])
        if not bodies and self.query is None:
            raise ValidationError("a request needs query, json, form or body: what it sends", "method")
        if self.body is not None and _XML.fullmatch(self.content_type):
            object.__setattr__(self, "body", self.body.as_xml())

    def build(self, url: str, message: Message, payload: Mapping[str, Any], timestamp: int) -> BuiltRequest:
        """The request for ``message``.

        Raises ``UnsendableError`` where a template can't be filled in, or a field of the message would be left out.
        """
        values = values_of(message, payload)
        unsent = self._unsent(payload)
        if unsent:
            raise UnsendableError(f"payload.{unsent[0]}: the gateway's request has no place for it", is_final_here=True)
        try:
            return self._built(url, values, message, timestamp)
        except InvalidTemplateError as mistake:
            place = ".".join(map(str, mistake.path))
            raise UnsendableError(f"the template {place} {mistake.text}", is_final_here=True) from None

    def mistakes(self, message: Message) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What is wrong with the templates for a message like this one: where, and what."""
        values = values_of(message, message.payload)
        for name in ("query", "json", "form", "body"):
            found: Template | None = getattr(self, name)
            if found is not None:
                try:
                    found.render(values)
                except InvalidTemplateError as mistake:
                    yield (name, *mistake.path), mistake.text

    def _built(self, url: str, values: Mapping[str, Any], message: Message, timestamp: int) -> BuiltRequest:
        if self.query is not None:
            url = _with_query(url, _texts(self.query.render(values)))
        body, content_type = b"", None
        if self.json is not None:
            body, content_type = json_body(self.json.render(values)), "application/json"
        elif self.form is not None:
            body, content_type = (
                form_body(_texts(self.form.render(values))),
                "application/x-www-form-urlencoded",
            )
        elif self.body is not None:
            body, content_type = str(self.body.render(values)).encode(), self.content_type
        headers = {} if content_type is None else {"Content-Type": content_type}
        if self.basic is not None:
            headers |= self.basic.headers()
        if self.sign is not None:
            parts = urlsplit(url)
            path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            headers |= self.sign.headers(
                body, method=self.method, path=path, timestamp=timestamp, delivery_key=message.delivery_key
            )
        return BuiltRequest(url, body, headers)

    def _unsent(self, payload: Mapping[str, Any]) -> list[str]:
        used: set[str] = set(self.ignore)
        for found in (self.query, self.json, self.form, self.body):
            if found is not None:
                if found.payload_fields is None:
                    return []
                used |= found.payload_fields
        return sorted(name for name in payload if name not in used)


@dataclass(frozen=True, slots=True)
class BuiltRequest:
    """Address, body and headers of one request."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def _texts(rendered: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in rendered.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _with_query(url: str, fields: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    query = urlencode(fields)
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query and query else parts.query or query))
