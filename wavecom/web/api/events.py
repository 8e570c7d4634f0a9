"""``GET /api/events``: what became of a client's notifications, in order, for whoever asks again and again."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.client_events import EVENT_TYPES
from wavecom.core.event_representation import represented
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import InvalidRequestError, Problem
from wavecom.services.web import WebServices
from wavecom.web.api.answers import JOB_ERROR, PARENT
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.event_stream import EventCursor, EventSource
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.event import (
    EventListRequest,
    EventQuery,
    EventStreamQuery,
    EventStreamRequest,
    PositionInQuery,
)
from wavecom.web.api.shapes import (
    Shape,
    anything,
    array,
    boolean,
    enum,
    integer,
    nullable,
    record,
    text,
    timestamp,
    uuid,
)
from wavecom.web.authentication import Authenticator, caller
from wavecom.web.streams import MEDIA_TYPE, EventStream, open_stream

PATH = "/api/events"

_DATA = record(
    "EventData",
    {
        "jobId": uuid(),
        "version": integer(
            "1 for the first event of a notification, one more for each that follows: of two events of the same "
            "notification the higher version is the later one, in whatever order they arrive",
            minimum=1,
        ),
        "channel": enum(Channel),
        "status": enum([status for status in Status if status is not Status.PROCESSING]),
        "attempts": integer("attempts made by then"),
        "provider": nullable(text("who was asked last")),
        "error": nullable(JOB_ERROR),
        "nextAttemptAt": nullable(timestamp("of `retrying`: when the next attempt is due")),
        "idempotencyKey": nullable(text()),
        "metadata": anything("as it came with the notification"),
        "parent": nullable(PARENT),
    },
)
EVENT = record(
    "Event",
    {
        "eventId": text("the same however often the event is read or sent"),
        "type": enum(list(EVENT_TYPES)),
        "timestamp": timestamp("when it happened"),
        "data": _DATA,
    },
)
_PAGE = record(
    "Events",
    {
        "items": array(EVENT, "the oldest first"),
        "next": text("to be given as `after` for what follows, now or later", pattern=PositionInQuery.PATTERN),
        "hasMore": boolean("whether there is more already"),
        "recordedSince": timestamp("notifications accepted from then on have events"),
    },
)
_STREAM = Shape("EventStream", {"type": "string"})
LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "header",
    {"type": "string", "pattern": PositionInQuery.PATTERN},
    "the last `id` of the stream that you had; counts more than `after`",
    "1204",
)
EXAMPLE: dict[str, Any] = {
    "eventId": "019cebab-8995-7000-8000-000000000001.3",
    "type": "notification.failed",
    "timestamp": "2026-03-14T09:27:01.204Z",
    "data": {
        "jobId": "019cebab-8995-7000-8000-000000000001",
        "version": 3,
        "channel": "push",
        "status": "failed",
        "attempts": 1,
        "provider": "fcm",
        "error": {"code": "recipient_gone", "message": "http_404: UNREGISTERED", "provider": "fcm"},
        "nextAttemptAt": None,
        "idempotencyKey": "order-42-shipped",
        "metadata": {"order": "A-42"},
        "parent": None,
    },
}

STREAM_EXAMPLE = (
    "retry: 2000\n\nid: 1205\nevent: notification.failed\n"
    'data: {"eventId":"019cebab-8995-7000-8000-000000000001.3","type":"notification.failed","timestamp":'
    '"2026-03-14T09:27:01.204Z","data":{"jobId":"019cebab-8995-7000-8000-000000000001","version":3,"channel":"push",'
    '"status":"failed","attempts":1,"provider":"fcm","error":null,"nextAttemptAt":null,"idempotencyKey":null,'
    '"metadata":{},"parent":null}}\n\n: nothing new\nid: 1205\n\n'
)


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``."""
    blueprint = ApiBlueprint(
        "events", __name__, url_prefix=PATH, description="What became of your notifications, in order."
    )
    authenticator = Authenticator(services.keys)

    @blueprint.operation("GET", "", id="listEvents")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(EventQuery(), "query", example={"after": "1204", "limit": 100})
    @blueprint.answers(
        200,
        _PAGE,
        example={
            "items": [EXAMPLE],
            "next": "1205",
            "hasMore": False,
            "recordedSince": "2026-03-14T09:00:00.000Z",
        },
    )
    @blueprint.fails(errors.EventsExpiredError)
    def list_events(query: EventListRequest) -> Response:
        """Read what happened, oldest first.

        Give `next` of the last page as `after`, again and again: no event is passed over, and one that you have had
        does not come again. Events are kept for 7 days, and appear a second or two after what they tell. Recording
        begins with the first call, or the first callback: see `recordedSince`.
        """
        account = caller().client
        recorded_since = services.events.recorded_since(account)
        page = services.events.page(account, query.after, query.limit, query.job_id)
        return json_response(
            {
                "items": [represented(event) for event in page.events],
                "next": str(page.position),
                "hasMore": page.has_more,
                "recordedSince": rfc3339(recorded_since),
            }
        )

    source = EventSource(services.events)

    @blueprint.operation("GET", "/stream", id="streamEvents")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(LAST_EVENT_ID)
    @blueprint.reads(EventStreamQuery(), "query", example={"after": "1204"})
    @blueprint.answers(200, _STREAM, example=STREAM_EXAMPLE, media_type=MEDIA_TYPE)
    @blueprint.fails(errors.EventsExpiredError, errors.TooManyStreamsError)
    def stream_events(query: EventStreamRequest) -> Response:
        """Be sent what happens, as it happens.

        Server-sent events: `id` is a position, as `next` of a page; `event` the event's `type`; `data` the event as
        JSON. Begins with the newest event, or behind `Last-Event-ID`, or `after`. Every connection ends some time:
        connect again with the `Last-Event-ID` that you have, as clients of server-sent events do by themselves, and no
        event is passed over. At most 20 at once for a key.
        """
        key_id, account = caller().key_id, caller().client
        services.events.recorded_since(account)
        cursor = EventCursor(account, 0, query.job_id)

        def may_go_on() -> bool:
            found = services.keys.caller_of(key_id)
            return found is not None and KeyScope.READ in found.scopes

        beginning = source.begin(cursor, _last_event_id(query.after))
        return open_stream(beginning, EventStream(source, key_id, cursor, may_go_on))

    return blueprint


def _last_event_id(after: int | None) -> int | None:
    """Where to go on: what a client says that comes again counts more than the address, which stays the same."""
    given = request.headers.get("Last-Event-ID", "").strip()
    if not given:
        return after
    if not re.fullmatch(PositionInQuery.PATTERN, given):
        raise InvalidRequestError(
            [Problem("Last-Event-ID", "must be the `id` of an event that this stream has sent, unchanged")]
        )
    return int(given)
