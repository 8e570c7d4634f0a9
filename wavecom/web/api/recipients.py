"""``/api/recipients``: people by an id of the client's own, how each is reached and what each wants."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.lanes import Channel
from wavecom.core.recipient_administration import RecipientAdministration, with_token
from wavecom.core.registered_recipients import (
    ID_PATTERN,
    ID_RULE,
    PUSH_TOKENS_LIMIT,
    PushToken,
    RegisteredRecipient,
    is_recipient_id,
)
from wavecom.core.unsubscribe import PreferenceTarget, UnsubscribeLinks
from wavecom.errors import InvalidRequestError, Problem, RecipientNotFoundError
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.hours import HOURS, hours_json
from wavecom.web.api.paging import LINK, page_response
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.push import Platform
from wavecom.web.api.schemas.recipient import (
    BulkRegistrationSchema,
    RecipientFields,
    RecipientListRequest,
    RecipientQuery,
    RegisteredTokenSchema,
    merging,
    replacing,
    token_of,
)
from wavecom.web.api.shapes import anything, array, boolean, enum, integer, nullable, record, text, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/recipients"

RECIPIENT_ID = Parameter(
    "recipient_id", "path", text(pattern=f"^{ID_PATTERN}$"), "the recipient's id, your own", "user-42", True
)
_TOKEN = record(
    "PushTokenOfRecipient",
    {
        "platform": enum(Platform),
        "token": text(),
        "subscription": anything("of a browser"),
        "seenAt": timestamp("when it was registered last"),
    },
    optional={"token", "subscription"},
)
RECIPIENT = record(
    "RegisteredRecipient",
    {
        "recipientId": text("your own id"),
        "email": nullable(text()),
        "phone": nullable(text()),
        "isEmailVerified": boolean(),
        "isPhoneVerified": boolean(),
        "pushTokens": array(_TOKEN, f"the one that was seen last first, at most {PUSH_TOKENS_LIMIT}"),
        "locale": nullable(text()),
        "timeZone": nullable(text("by IANA")),
        "quietHours": nullable({**HOURS.schema, "type": "object"}),
        "preferences": anything("category → channel → whether it is wanted, as far as somebody has chosen"),
        "isStopped": boolean("the recipient has stopped all that can be stopped; choices were made after that"),
        "preferencesUrl": nullable(
            text("the recipient's own page, for a variable of a template; null where `WAVECOM_PUBLIC_URL` is not set")
        ),
        "createdAt": timestamp(),
        "updatedAt": timestamp(),
    },
)
_PAGE = record(
    "RegisteredRecipients",
    {"items": array(RECIPIENT, "by id"), "next": nullable(text("the address of the next page"))},
)
_COUNTS = record("RegistrationCounts", {"created": integer("that were new"), "updated": integer("that were there")})
_REQUEST_EXAMPLE: dict[str, Any] = {
    "email": "amina@example.com",
    "isEmailVerified": True,
    "phone": "+447700900123",
    "locale": "de-CH",
    "timeZone": "Europe/Zurich",
    "quietHours": {"from": "22:00", "to": "07:00"},
    "preferences": {"news": {"sms": False}},
}
EXAMPLE: dict[str, Any] = {
    "recipientId": "user-42",
    **_REQUEST_EXAMPLE,
    "isPhoneVerified": False,
    "pushTokens": [],
    "isStopped": False,
    "preferencesUrl": "https://notify.example/preferences/0Y9s",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "updatedAt": "2026-03-14T09:26:53.589Z",
}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "recipients",
        __name__,
        url_prefix=PATH,
        description="Register people once: how each is reached, what each wants.",
    )
    authenticator = Authenticator(services.keys)
    recipients = services.recipients
    mail_addresses = services.settings.mail_addresses
    now, represented = services.clock.now, partial(_json, services.unsubscribe_links)

    @blueprint.operation("GET", "", id="listRecipients")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.reads(RecipientQuery(), "query", example={"limit": 50})
    @blueprint.answers(
        200,
        _PAGE,
        example={"items": [EXAMPLE], "next": None},
        headers=LINK,
    )
    def find(query: RecipientListRequest) -> Response:
        """List your recipients, by id."""
        found, after = recipients.page(caller().client, query.limit, query.after)
        return page_response([represented(each) for each in found], after)

    @blueprint.operation("POST", "", id="registerRecipients")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.reads(
        BulkRegistrationSchema(mail_addresses), example={"recipients": [{"recipientId": "user-42", **_REQUEST_EXAMPLE}]}
    )
    @blueprint.answers(200, _COUNTS, example={"created": 1, "updated": 0})
    @blueprint.fails(errors.LostRaceError, errors.UncertainWriteError)
    def register(wanted: dict[str, Any]) -> Response:
        """Register up to 1,000 at once, each as by `PUT`.

        All are checked first: where one is wrong, none is kept. May be repeated.
        """
        _check_choices(recipients, {f"/recipients/{index}": each for index, each in enumerate(wanted["recipients"])})
        changes = {each["recipient_id"]: replacing(each) for each in wanted["recipients"]}
        done = recipients.put(caller().client, changes)
        created = sum(is_new for _, is_new in done.values())
        return json_response({"created": created, "updated": len(done) - created})

    @blueprint.operation("PUT", "/<string:recipient_id>", id="putRecipient")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.takes(RECIPIENT_ID)
    @blueprint.reads(RecipientFields(mail_addresses), example=_REQUEST_EXAMPLE)
    @blueprint.answers(200, RECIPIENT, example=EXAMPLE, description="It was there, and is as you say now.")
    @blueprint.answers(201, RECIPIENT, example=EXAMPLE, headers={"Location": "where it can be read"})
    @blueprint.fails(errors.LostRaceError, errors.UncertainWriteError)
    def put(wanted: dict[str, Any], recipient_id: str) -> Response:
        """Register a recipient, or say all of one anew.

        What you leave out is not kept, but for `pushTokens`, `preferences` and `isStopped`: these stay unless you name
        them. Of the push tokens the one that was seen last gets the messages.
        """
        if not is_recipient_id(recipient_id):
            raise InvalidRequestError([Problem("", f"the id in the address must be {ID_RULE}", "invalid")])
        _check_choices(recipients, {"": wanted})
        recipient, is_new = recipients.put(caller().client, {recipient_id: replacing(wanted)})[recipient_id]
        response = json_response(represented(recipient), 201 if is_new else 200)
        if is_new:
            response.headers["Location"] = f"{request.root_path}{PATH}/{recipient_id}"
        return response

    @blueprint.operation("GET", "/<string:recipient_id>", id="readRecipient")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.takes(RECIPIENT_ID)
    @blueprint.answers(200, RECIPIENT, example=EXAMPLE)
    @blueprint.fails(errors.RecipientNotFoundError)
    def read(recipient_id: str) -> Response:
        """One recipient."""
        return json_response(represented(recipients.get(caller().client, _id(recipient_id))))

    @blueprint.operation("PATCH", "/<string:recipient_id>", id="changeRecipient")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.takes(RECIPIENT_ID)
    @blueprint.reads(RecipientFields(mail_addresses), example={"phone": "+447700900124", "quietHours": None})
    @blueprint.answers(200, RECIPIENT, example={**EXAMPLE, "phone": "+447700900124", "quietHours": None})
    @blueprint.fails(errors.RecipientNotFoundError, errors.LostRaceError, errors.UncertainWriteError)
    def change(wanted: dict[str, Any], recipient_id: str) -> Response:
        """Change what you name, take away what you set to null, and leave the rest.

        An address that is changed is no longer verified, unless you say so in the same request; that one is verified is
        said beside the address alone.
        """
        _check_choices(recipients, {"": wanted})
        return json_response(represented(recipients.change(caller().client, _id(recipient_id), merging(wanted))))

    @blueprint.operation("POST", "/<string:recipient_id>/push-tokens", id="addPushToken")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.takes(RECIPIENT_ID)
    @blueprint.reads(RegisteredTokenSchema(), example={"platform": "fcm", "token": "cGx1Z2dlZA:APA91b"})
    @blueprint.answers(200, RECIPIENT, example=EXAMPLE)
    @blueprint.fails(errors.RecipientNotFoundError, errors.LostRaceError, errors.UncertainWriteError)
    def add_token(wanted: dict[str, Any], recipient_id: str) -> Response:
        """Register a device or browser, or say that it was seen again: at each start of the app, say.

        Of more than 20 those that were seen last are kept. One of which its provider says that it is gone is forgotten.
        """
        token = token_of(wanted, now())
        changed = recipients.change(caller().client, _id(recipient_id), lambda known, _now: with_token(known, token))
        return json_response(represented(changed))

    @blueprint.operation("DELETE", "/<string:recipient_id>", id="deleteRecipient")
    @authenticator.requires(KeyScope.RECIPIENTS)
    @blueprint.takes(RECIPIENT_ID)
    @blueprint.answers(204, description="It is forgotten, with all addresses.")
    @blueprint.fails(errors.RecipientNotFoundError, errors.LostRaceError, errors.UncertainWriteError)
    def delete(recipient_id: str) -> Response:
        """Forget a recipient. What waits to be sent is not sent any more, unless it is required or urgent.

        What was refused is kept under the id, so that to register it again does not take that back.
        """
        recipients.remove(caller().client, _id(recipient_id))
        return Response(status=204)

    return blueprint


def _json(links: UnsubscribeLinks | None, recipient: RegisteredRecipient) -> dict[str, Any]:
    """A recipient as its client sees it."""
    page = PreferenceTarget(recipient.account, recipient.recipient_id)
    return {
        "recipientId": recipient.recipient_id,
        "email": recipient.email,
        "phone": recipient.phone,
        "isEmailVerified": recipient.is_email_verified,
        "isPhoneVerified": recipient.is_phone_verified,
        "pushTokens": [_token(each) for each in recipient.push_tokens],
        "locale": recipient.locale,
        "timeZone": recipient.time_zone,
        "quietHours": hours_json(recipient.quiet_hours),
        "preferences": {
            name: {channel.value: channels[channel] for channel in Channel if channel in channels}
            for name, channels in recipient.choices.items()
        },
        "isStopped": recipient.stopped_at is not None,
        "preferencesUrl": None if links is None else links.preferences_url(page),
        "createdAt": rfc3339(recipient.created_at),
        "updatedAt": rfc3339(recipient.updated_at),
    }


def _check_choices(recipients: RecipientAdministration, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ``InvalidRequestError`` for choices of no category of the caller's; ``wanted``: fields by their place."""
    named = {name for each in wanted.values() for name in each.get("preferences", ())}
    unknown = recipients.unknown_categories(caller().client, named)
    text = "is no category of yours; make it with PUT /api/categories/<category> first"
    if wrong := [
        Problem(f"{where}/preferences/{name}", text, "unknown_value")
        for where, each in wanted.items()
        for name in each.get("preferences", ())
        if name in unknown
    ]:
        raise InvalidRequestError(wrong)


def _token(token: PushToken) -> dict[str, Any]:
    return {**token.to, "seenAt": rfc3339(token.seen_at)}


def _id(given: str) -> str:
    """Raises ``RecipientNotFoundError`` for what no recipient can be called."""
    if not is_recipient_id(given):
        raise RecipientNotFoundError
    return given
