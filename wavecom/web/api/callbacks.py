"""``/api/callbacks``: endpoints of clients that are sent events."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.callback_administration import NewCallback
from wavecom.core.callbacks import Callback, CallbackDelivery, CallbackState, DeliveryState, DisabledReason
from wavecom.core.client_events import EVENT_TYPES, type_of
from wavecom.core.lanes import Channel
from wavecom.errors import CallbackNotFoundError
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.callback import (
    CallbackChangeSchema,
    DeliveryListRequest,
    DeliveryQuery,
    NewCallbackSchema,
    ResendSchema,
    SecretRotationSchema,
    statuses,
)
from wavecom.web.api.schemas.event import PositionInQuery
from wavecom.web.api.shapes import array, enum, integer, nullable, record, text, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/callbacks"

_ID = re.compile(r"[0-9a-f]{32}")
CALLBACK_ID = Parameter(
    "callback_id",
    "path",
    text(pattern="^[0-9a-fA-F]{32}$"),
    "the id that the callback was created with",
    "5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    True,
)
EVENT_ID = Parameter("event_id", "path", text(), "the id of the event", "019cebab-8995-7000-8000-000000000001.3", True)

_FIELDS: dict[str, Any] = {
    "callbackId": text(),
    "url": text("your endpoint"),
    "name": text(),
    "events": array(enum(list(EVENT_TYPES)), "which events it is sent; empty: all"),
    "channels": array(enum(Channel), "of which channels; empty: all"),
    "state": enum(CallbackState, "`paused` by you: events are kept for it; `disabled` by WaveCom: none are"),
    "disabledReason": nullable(enum(DisabledReason, "`gone`: it answered 410; `failing`: it failed for 72 hours")),
    "disabledAt": nullable(timestamp()),
    "failures": integer("tries that have failed since the last one that did not"),
    "failingSince": nullable(timestamp("when the first of those failed")),
    "notBefore": nullable(timestamp("while it fails, when it is tried next")),
    "createdAt": timestamp(),
    "updatedAt": timestamp(),
}
CALLBACK = record("Callback", _FIELDS)
_WITH_SECRET = record(
    "CallbackWithSecret",
    {**_FIELDS, "secret": text("signs what is sent, by Standard Webhooks; shown this once", pattern="^whsec_")},
)
_LIST = record("Callbacks", {"items": array(CALLBACK, "the oldest first")})
_TRY = record(
    "CallbackTry",
    {
        "at": timestamp(),
        "durationMs": integer(),
        "status": nullable(integer("of the answer", minimum=100)),
        "fault": nullable(text("why it counts as failed, such as `http_503`, `timeout`, `address_not_allowed`")),
        "excerpt": text("the beginning of the answer's body"),
    },
)
DELIVERY = record(
    "CallbackDelivery",
    {
        "eventId": text("the header `webhook-id`, the same for each try"),
        "type": text("the event's"),
        "state": enum(DeliveryState),
        "createdAt": timestamp(),
        "nextTryAt": nullable(timestamp("when it is tried next, or later while the endpoint fails")),
        "tries": array(_TRY, "the oldest first"),
    },
)
_DELIVERIES = record("CallbackDeliveries", {"items": array(DELIVERY, "the newest first")})
_RESENT = record(
    "Resent",
    {
        "count": integer("deliveries that begin anew"),
        "next": nullable(
            text("to be given as `after` for the rest; null: that was all", pattern=PositionInQuery.PATTERN)
        ),
    },
)
EXAMPLE: dict[str, Any] = {
    "callbackId": CALLBACK_ID.example,
    "url": "https://shop.example/wavecom",
    "name": "shop",
    "events": ["notification.delivered", "notification.failed"],
    "channels": [],
    "state": "active",
    "disabledReason": None,
    "disabledAt": None,
    "failures": 0,
    "failingSince": None,
    "notBefore": None,
    "createdAt": "2026-03-14T09:26:53.589Z",
    "updatedAt": "2026-03-14T09:26:53.589Z",
}
_SECRET_EXAMPLE = {**EXAMPLE, "secret": "whsec_" + "A" * 43 + "="}
DELIVERY_EXAMPLE: dict[str, Any] = {
    "eventId": EVENT_ID.example,
    "type": "notification.failed",
    "state": "pending",
    "createdAt": "2026-03-14T09:27:02.000Z",
    "nextTryAt": "2026-03-14T09:27:07.310Z",
    "tries": [
        {
            "at": "2026-03-14T09:27:02.110Z",
            "durationMs": 84,
            "status": 503,
            "fault": "http_503",
            "excerpt": "deploying",
        }
    ],
}
_TEST_EXAMPLE = {
    "eventId": "test_0a9b8c7d6e5f5f0c9d2e7a1b4c6d8e3f",
    "type": "callback.test",
    "state": "pending",
    "createdAt": "2026-03-14T09:27:02.000Z",
    "nextTryAt": "2026-03-14T09:27:02.000Z",
    "tries": [],
}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "callbacks", __name__, url_prefix=PATH, description="Have what becomes of your notifications sent to you."
    )
    authenticator = Authenticator(services.keys)
    callbacks = services.callbacks
    private_hosts = services.settings.callback_private_hosts

    @blueprint.operation("POST", "", id="createCallback")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.reads(
        NewCallbackSchema(private_hosts),
        example={"url": EXAMPLE["url"], "name": "shop", "events": EXAMPLE["events"], "channels": []},
    )
    @blueprint.answers(201, _WITH_SECRET, example=_SECRET_EXAMPLE, headers={"Location": "where it can be read"})
    @blueprint.fails(errors.UncertainWriteError)
    def create(wanted: dict[str, Any]) -> Response:
        """Have events sent to an endpoint of yours, as they happen.

        Each is a POST, signed by [Standard Webhooks](https://www.standardwebhooks.com), and counts as delivered when it
        is answered 2xx within 15 seconds. One that is not is tried again after 5 s, 30 s, 2 min, 10 min, 30 min, 1 h,
        2 h, 4 h, 6 h and 10 h, then given up. An endpoint that fails 5 times in a row gets one event at a time, after
        growing pauses of up to 15 minutes; one that fails for 72 hours, or answers 410, is disabled. Redirects are not
        followed, and private addresses not called. An event may come twice, with the same `webhook-id`.
        """
        new = NewCallback(
            account=caller().client,
            url=wanted["url"],
            name=wanted["name"],
            statuses=statuses(wanted["events"]),
            channels=frozenset(wanted["channels"]),
        )
        created = callbacks.create(caller().name, new)
        response = json_response(_with_secret(created), 201)
        response.headers["Location"] = f"{request.root_path}{PATH}/{created.callback_id}"
        return response

    @blueprint.operation("GET", "", id="listCallbacks")
    @authenticator.requires(KeyScope.READ)
    @blueprint.answers(200, _LIST, example={"items": [EXAMPLE]})
    def list_callbacks() -> Response:
        """List your callbacks."""
        return json_response({"items": [represented(each) for each in callbacks.all(caller().client)]})

    @blueprint.operation("GET", "/<callback_id>", id="readCallback")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.answers(200, CALLBACK, example=EXAMPLE)
    @blueprint.fails(errors.CallbackNotFoundError)
    def read(callback_id: str) -> Response:
        """One callback, and how its endpoint stands."""
        return json_response(represented(callbacks.get(id_in_path(callback_id), caller().client)))

    @blueprint.operation("PATCH", "/<callback_id>", id="changeCallback")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.reads(CallbackChangeSchema(private_hosts), example={"state": "paused"})
    @blueprint.answers(200, CALLBACK, example={**EXAMPLE, "state": "paused"})
    @blueprint.fails(errors.CallbackNotFoundError, errors.UncertainWriteError)
    def change(wanted: dict[str, Any], callback_id: str) -> Response:
        """Change a callback, pause it, or have it go on.

        While it is `paused`, events are kept for it for 7 days and sent when it is `active` again. One that WaveCom has
        disabled goes on with `active` too; what happened meanwhile, `resend` sends.
        """
        changes = CallbackChangeSchema.changes(wanted)
        changed = callbacks.change(caller().name, id_in_path(callback_id), caller().client, changes)
        return json_response(represented(changed))

    @blueprint.operation("DELETE", "/<callback_id>", id="deleteCallback")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.answers(204, description="It is deleted; nothing more is sent to it.")
    @blueprint.fails(errors.CallbackNotFoundError, errors.UncertainWriteError)
    def delete(callback_id: str) -> Response:
        """Delete a callback."""
        callbacks.remove(caller().name, id_in_path(callback_id), caller().client)
        return Response(status=204)

    @blueprint.operation("POST", "/<callback_id>/rotate", id="rotateCallbackSecret")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.reads(SecretRotationSchema(), example={"overlapSeconds": 86400})
    @blueprint.answers(200, _WITH_SECRET, example=_SECRET_EXAMPLE)
    @blueprint.fails(errors.CallbackNotFoundError, errors.UncertainWriteError)
    def rotate(wanted: dict[str, Any], callback_id: str) -> Response:
        """Make a new secret.

        Until the overlap is over, all that is sent is signed with the old one as well, so receivers accept it with
        either.
        """
        overlap = SecretRotationSchema.overlap(wanted)
        rotated = callbacks.rotate(caller().name, id_in_path(callback_id), caller().client, overlap)
        return json_response(_with_secret(rotated))

    @blueprint.operation("POST", "/<callback_id>/test", id="testCallback")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.answers(202, DELIVERY, example=_TEST_EXAMPLE)
    @blueprint.fails(errors.CallbackNotFoundError, errors.UncertainWriteError)
    def test(callback_id: str) -> Response:
        """Send a test event.

        It is of the type `callback.test`, whatever events the callback asks for. What came of it stands among the
        deliveries a second or two later.
        """
        return json_response(_delivery(callbacks.test(id_in_path(callback_id), caller().client)), 202)

    @blueprint.operation("GET", "/<callback_id>/deliveries", id="listCallbackDeliveries")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.reads(DeliveryQuery(), "query", example={"state": "failed"})
    @blueprint.answers(200, _DELIVERIES, example={"items": [DELIVERY_EXAMPLE]})
    @blueprint.fails(errors.CallbackNotFoundError)
    def deliveries(query: DeliveryListRequest, callback_id: str) -> Response:
        """What was sent, and what came of each try, newest first.

        Kept for 7 days. For older ones give the `createdAt` of the last item as `before`, and its `eventId` as
        `beforeEvent`: many have the same time.
        """
        found = callbacks.deliveries(
            id_in_path(callback_id),
            caller().client,
            query.limit,
            state=query.state,
            before=query.before,
            before_event=query.before_event,
        )
        return json_response({"items": [_delivery(each) for each in found]})

    @blueprint.operation("POST", "/<callback_id>/deliveries/<event_id>/resend", id="resendEvent")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(CALLBACK_ID, EVENT_ID)
    @blueprint.answers(202, DELIVERY, example={**DELIVERY_EXAMPLE, "nextTryAt": "2026-03-14T10:00:00.000Z"})
    @blueprint.fails(errors.CallbackNotFoundError, errors.UncertainWriteError)
    def resend(callback_id: str, event_id: str) -> Response:
        """Send one event again, with the same id."""
        again = callbacks.resend(id_in_path(callback_id), caller().client, event_id)
        return json_response(_delivery(again), 202)

    @blueprint.operation("POST", "/<callback_id>/resend", id="resendEvents")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(CALLBACK_ID)
    @blueprint.reads(ResendSchema(), example={"since": "2026-03-14T09:00:00Z"})
    @blueprint.answers(202, _RESENT, example={"count": 204, "next": None})
    @blueprint.fails(errors.CallbackNotFoundError, errors.UncertainWriteError)
    def resend_since(wanted: dict[str, Any], callback_id: str) -> Response:
        """Send all events since a time that were not delivered, or all.

        Those too that happened while the callback was disabled. Each has the id that it had before.
        """
        resent = callbacks.resend_since(
            id_in_path(callback_id),
            caller().client,
            wanted["since"],
            after=wanted.get("after") or 0,
            includes_delivered=wanted["include_delivered"],
        )
        position = None if resent.position is None else str(resent.position)
        return json_response({"count": resent.count, "next": position}, 202)

    return blueprint


def represented(callback: Callback) -> dict[str, Any]:
    """A callback as its client sees it, without its secrets."""
    return {
        "callbackId": callback.callback_id,
        "url": callback.url,
        "name": callback.name,
        "events": sorted(type_of(status) for status in callback.statuses),
        "channels": sorted(channel.value for channel in callback.channels),
        "state": callback.state.value,
        "disabledReason": None if callback.disabled_reason is None else callback.disabled_reason.value,
        "disabledAt": None if callback.disabled_at is None else rfc3339(callback.disabled_at),
        "failures": callback.failures,
        "failingSince": None if callback.failing_since is None else rfc3339(callback.failing_since),
        "notBefore": None if callback.not_before is None else rfc3339(callback.not_before),
        "createdAt": rfc3339(callback.created_at),
        "updatedAt": rfc3339(callback.updated_at),
    }


def id_in_path(given: str) -> str:
    """The id in the form that it is stored in. Raises ``CallbackNotFoundError`` for what none can be called."""
    if not _ID.fullmatch(given.lower()):
        raise CallbackNotFoundError
    return given.lower()


def _with_secret(callback: Callback) -> dict[str, Any]:
    return {**represented(callback), "secret": callback.newest_secret}


def _delivery(delivery: CallbackDelivery) -> dict[str, Any]:
    return {
        "eventId": delivery.event_id,
        "type": delivery.type,
        "state": delivery.state.value,
        "createdAt": rfc3339(delivery.created_at),
        "nextTryAt": None if delivery.due_at is None else rfc3339(delivery.due_at),
        "tries": [
            {
                "at": rfc3339(each.at),
                "durationMs": each.duration_ms,
                "status": each.status,
                "fault": each.fault,
                "excerpt": each.excerpt,
            }
            for each in delivery.tries
        ],
    }
