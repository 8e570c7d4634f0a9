"""``/api/templates``: what notifications say, in versions, channels and locales."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.lanes import Channel
from wavecom.core.prices import written
from wavecom.core.sms import ENCODINGS
from wavecom.core.templates.model import (
    NAME_PATTERN,
    TemplateKind,
    TemplateSummary,
    TemplateVersion,
    VersionState,
    VersionSummary,
    is_template_name,
)
from wavecom.core.templates.previews import Preview, previews
from wavecom.core.templates.sources import source_json
from wavecom.errors import TemplateNotFoundError
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.paging import LINK, page_response
from wavecom.web.api.payload_checks import payload_check
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.schemas.template import (
    PageRequest,
    PreviewSchema,
    TemplateListQuery,
    TemplateVersionSchema,
    VersionListQuery,
)
from wavecom.web.api.shapes import anything, array, enum, integer, nullable, record, text, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/templates"

NAME = Parameter("template", "path", text(pattern=NAME_PATTERN), "the name of the template", "order-shipped", True)
VERSION = Parameter("version", "path", text(pattern="^[0-9]{1,7}$"), "the number of the version", "3", True)

_VERSION_FIELDS: dict[str, Any] = {
    "name": text(),
    "version": integer(minimum=1),
    "state": enum(VersionState, "a `published` one never changes"),
    "kind": enum(TemplateKind, "`layout` and `partial` are parts of others"),
    "note": text("what its author said of it"),
    "createdAt": timestamp(),
    "createdBy": text("`key <keyId>`, or the name of an operator"),
    "reviewAskedAt": nullable(timestamp()),
    "reviewAskedBy": nullable(text()),
    "publishedAt": nullable(timestamp("when it was published last")),
    "publishedBy": nullable(text()),
}
#: What a list says of a version that it can't read, because a later release saved it.
_UNREADABLE = "null: a later release saved it, and this one can't read it"
_SHORT = record(
    "TemplateVersionSummary",
    _VERSION_FIELDS
    | {"state": nullable(enum(VersionState, _UNREADABLE)), "kind": nullable(enum(TemplateKind, _UNREADABLE))},
)
VERSION_SHAPE = record(
    "TemplateVersion",
    {
        **_VERSION_FIELDS,
        "defaultLocale": text(),
        "variables": anything("as they were declared"),
        "contents": anything("as they were written: locale, type, payload"),
    },
)
_TEMPLATE = record(
    "Template",
    {
        "name": text(),
        "kind": nullable(enum(TemplateKind, f"of the newest version; {_UNREADABLE}")),
        "current": nullable(integer("the version that is sent; null: none has been published", minimum=1)),
        "newest": integer("the newest version, maybe a draft", minimum=1),
        "state": nullable(enum(VersionState, f"of the newest version; {_UNREADABLE}")),
        "types": array(enum(Channel), "of the newest version"),
        "locales": array(text(), "of the newest version"),
        "updatedAt": timestamp("when the newest version was saved"),
    },
)
_NEXT = nullable(text("the address of the next page"))
_TEMPLATES = record("Templates", {"items": array(_TEMPLATE, "by name"), "next": _NEXT})
_VERSIONS = record("TemplateVersions", {"items": array(_SHORT, "the newest first"), "next": _NEXT})
_SEGMENTS = record("SmsSegments", {"encoding": enum(ENCODINGS), "segments": integer(minimum=1)})
_COST = record(
    "CostRange",
    {
        "currency": text("by ISO 4217", pattern="^[A-Z]{3}$"),
        "lowest": text("with these values, at the lowest price of a provider", pattern=r"^[0-9]+(?:\.[0-9]+)?$"),
        "highest": text("with the longest values, at the highest price", pattern=r"^[0-9]+(?:\.[0-9]+)?$"),
    },
)
_PREVIEW = record(
    "TemplatePreview",
    {
        "type": enum(Channel),
        "locale": text("of the words"),
        "payload": anything("as a notification would have it"),
        "sizeBytes": integer("of its HTML, or else of its text, in UTF-8"),
        "sms": nullable(_SEGMENTS),
        "smsLongest": nullable(_SEGMENTS),
        "cost": array(_COST, "of one text message, in each currency; empty where no price is known"),
        "hints": array(text(), "what may go wrong, for whoever writes it"),
    },
)
_PREVIEWS = record("TemplatePreviews", {"version": integer(minimum=1), "items": array(_PREVIEW)})

_EXAMPLE_SOURCE: dict[str, Any] = {
    "defaultLocale": "en",
    "variables": {
        "name": {"type": "text", "example": "Amina", "maxLength": 60},
        "total": {"type": "money", "example": {"amount": "20.00", "currency": "CHF"}},
    },
    "contents": {
        "en": {"sms": {"text": "{{ name }}, your order of {{ total }} is on its way."}},
        "de": {"sms": {"text": "{{ name }}, Ihr Auftrag über {{ total }} ist unterwegs."}},
    },
}
_EXAMPLE_SHORT: dict[str, Any] = {
    "name": "order-shipped",
    "version": 3,
    "state": "published",
    "kind": "message",
    "note": "says the total",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "createdBy": "key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    "reviewAskedAt": None,
    "reviewAskedBy": None,
    "publishedAt": "2026-03-14T09:30:00.000Z",
    "publishedBy": "ada",
}
_EXAMPLE = _EXAMPLE_SHORT | _EXAMPLE_SOURCE
_EXAMPLE_TEMPLATE = {
    "name": "order-shipped",
    "kind": "message",
    "current": 3,
    "newest": 3,
    "state": "published",
    "types": ["sms"],
    "locales": ["de", "en"],
    "updatedAt": "2026-03-14T09:26:53.589Z",
}
_EXAMPLE_PREVIEW = {
    "type": "sms",
    "locale": "de",
    "payload": {"text": "Amina, Ihr Auftrag über CHF 20.00 ist unterwegs."},
    "sizeBytes": 52,
    "sms": {"encoding": "GSM-7", "segments": 1},
    "smsLongest": {"encoding": "GSM-7", "segments": 1},
    "cost": [{"currency": "USD", "lowest": "0.0079", "highest": "0.0912"}],
    "hints": [],
}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "templates", __name__, url_prefix=PATH, description="Say what happened; templates find the words."
    )
    authenticator = Authenticator(services.keys)
    templates = services.template_administration
    settings = services.settings
    check = payload_check(NotificationSchema(services.clock.now, settings.mail_addresses, settings.sender_id_signs))

    @blueprint.operation("GET", "", id="listTemplates")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(TemplateListQuery(), "query", example={"limit": 50})
    @blueprint.answers(200, _TEMPLATES, example={"items": [_EXAMPLE_TEMPLATE], "next": None}, headers=LINK)
    def list_templates(query: PageRequest[str]) -> Response:
        """List your templates, by name."""
        client = caller().client
        page = templates.templates(client, query.limit, None if query.cursor is None else (client, query.cursor))
        return page_response([template_json(each) for each in page.items], None if page.next is None else page.next[1])

    @blueprint.operation("GET", "/<template>/versions", id="listTemplateVersions")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(NAME)
    @blueprint.reads(VersionListQuery(), "query", example={"limit": 50})
    @blueprint.answers(200, _VERSIONS, example={"items": [_EXAMPLE_SHORT], "next": None}, headers=LINK)
    @blueprint.fails(errors.TemplateNotFoundError)
    def versions(query: PageRequest[int], template: str) -> Response:
        """List the versions of a template, newest first."""
        page = templates.versions(caller().client, _name(template), query.limit, query.cursor)
        return page_response([_short(each) for each in page.items], None if page.next is None else str(page.next))

    @blueprint.operation("POST", "/<template>/versions", id="saveTemplateVersion")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(NAME)
    @blueprint.reads(TemplateVersionSchema(), example=_EXAMPLE_SOURCE | {"note": "says the total"})
    @blueprint.answers(201, VERSION_SHAPE, example=_EXAMPLE, headers={"Location": "where it can be read"})
    @blueprint.fails(errors.UncertainWriteError)
    def save(wanted: dict[str, Any], template: str) -> Response:
        """Save a version, a draft: the first one makes the template.

        Texts are written in a part of Jinja: `{{ variable }}`, `if`, `for` over lists, `include` of partials, and
        filters that format by locale. Everything that is wrong is named, with its line: a variable that is not
        declared, a value where HTML would be broken, a payload that could not be sent with the examples. What says the
        same as the newest version is no new one, and that is answered.
        """
        saved = templates.save(
            caller().name,
            caller().client,
            template,
            TemplateVersionSchema.source(wanted),
            check=check,
            note=wanted["note"],
        )
        response = json_response(version_json(saved), 201)
        response.headers["Location"] = f"{request.root_path}{PATH}/{template}/versions/{saved.version}"
        return response

    @blueprint.operation("GET", "/<template>/versions/<version>", id="readTemplateVersion")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(NAME, VERSION)
    @blueprint.answers(200, VERSION_SHAPE, example=_EXAMPLE)
    @blueprint.fails(errors.TemplateNotFoundError)
    def read(template: str, version: str) -> Response:
        """One version with its source."""
        return json_response(version_json(templates.get(caller().client, _name(template), _number(version))))

    @blueprint.operation("POST", "/<template>/versions/<version>/review", id="askTemplateReview")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(NAME, VERSION)
    @blueprint.answers(200, VERSION_SHAPE, example=_EXAMPLE | {"state": "review"})
    @blueprint.fails(errors.TemplateNotFoundError, errors.UncertainWriteError)
    def review(template: str, version: str) -> Response:
        """Say that a draft is ready for somebody else's eyes."""
        asked = templates.ask_review(caller().name, caller().client, _name(template), _number(version))
        return json_response(version_json(asked))

    @blueprint.operation("POST", "/<template>/versions/<version>/publish", id="publishTemplateVersion")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(NAME, VERSION)
    @blueprint.answers(200, VERSION_SHAPE, example=_EXAMPLE)
    @blueprint.fails(errors.TemplateNotFoundError, errors.UncertainWriteError)
    def publish(template: str, version: str) -> Response:
        """Have a version sent from now on; every process does so within 2 seconds.

        It keeps its layout and partials as they are now, and never changes again. To go back to an older version,
        publish that again. Who runs WaveCom may ask for a second pair of eyes (`WAVECOM_TEMPLATE_REVIEW`): then the key
        that has saved a version is answered 403, and another one publishes it.
        """
        published = templates.publish(caller().name, caller().client, _name(template), _number(version), check=check)
        return json_response(version_json(published))

    @blueprint.operation("POST", "/<template>/preview", id="previewTemplate")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(NAME)
    @blueprint.reads(PreviewSchema(), example={"type": "sms", "locale": "de-CH"})
    @blueprint.answers(200, _PREVIEWS, example={"version": 3, "items": [_EXAMPLE_PREVIEW]})
    @blueprint.fails(errors.TemplateNotFoundError)
    def preview(wanted: dict[str, Any], template: str) -> Response:
        """How a version looks: the newest, unless you name one; with its examples, unless you give values.

        Nothing is sent. `smsLongest` is what a text message takes with the longest values that the variables allow;
        `cost` is what it costs by the prices of the providers that it may go through, as far as they are known.
        """
        client = caller().client
        number = wanted.get("version") or templates.newest(client, _name(template)).version
        version = templates.get(client, template, number)
        found = previews(
            services.templates.compiled(version),
            channel=wanted.get("type"),
            locale=wanted.get("locale"),
            variables=wanted.get("variables"),
            prices=services.segment_prices.of(client),
        )
        return json_response({"version": number, "items": [_preview(each) for each in found]})

    return blueprint


def template_json(summary: TemplateSummary) -> dict[str, Any]:
    """A template as its client sees it in a list."""
    newest = summary.newest
    return {
        "name": newest.name,
        "kind": newest.kind,
        "current": summary.current,
        "newest": newest.version,
        "state": newest.state,
        "types": list(newest.types),
        "locales": list(newest.locales),
        "updatedAt": rfc3339(newest.created_at),
    }


def version_json(version: TemplateVersion) -> dict[str, Any]:
    """A version with its source."""
    return _short(VersionSummary.of(version)) | source_json(version.source)


def _short(version: VersionSummary) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "state": version.state,
        "kind": version.kind,
        "note": version.note,
        "createdAt": rfc3339(version.created_at),
        "createdBy": version.created_by,
        "reviewAskedAt": None if version.review_asked_at is None else rfc3339(version.review_asked_at),
        "reviewAskedBy": version.review_asked_by,
        "publishedAt": None if version.published_at is None else rfc3339(version.published_at),
        "publishedBy": version.published_by,
    }


def _preview(preview: Preview) -> dict[str, Any]:
    return {
        "type": preview.channel.value,
        "locale": preview.locale,
        "payload": preview.payload,
        "sizeBytes": preview.size_bytes,
        "sms": None if preview.sms is None else _segments(preview.sms.encoding, preview.sms.count),
        "smsLongest": None
        if preview.sms_longest is None
        else _segments(preview.sms_longest.encoding, preview.sms_longest.count),
        "cost": [
            {"currency": each.currency, "lowest": written(each.lowest), "highest": written(each.highest)}
            for each in preview.cost
        ],
        "hints": list(preview.hints),
    }


def _segments(encoding: str, count: int) -> dict[str, Any]:
    return {"encoding": encoding, "segments": count}


def _name(name: str) -> str:
    if not is_template_name(name):
        raise TemplateNotFoundError("There is no such template.")
    return name


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit() and len(version) <= 7):
        raise TemplateNotFoundError("There is no such version of this template.")
    return int(version)
