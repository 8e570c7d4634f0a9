"""``/api/keys``: a client manages its own keys, with a key that has the scope ``admin``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import orjson
from flask import Response

from wavecom import errors
from wavecom.accounts import Administrator, IssuedKey, KeyScope
from wavecom.accounts.administration import DEFAULT_OVERLAP
from wavecom.core.account import client_of
from wavecom.core.keys import KeyRecord, KeyStatus
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.key import Mode, NewKeySchema, RotationSchema
from wavecom.web.api.shapes import array, enum, nullable, record, text, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/keys"

_KEY_ID = re.compile(r"[\x21-\x7e]{1,64}")
KEY_ID = Parameter("key_id", "path", text(maxLength=64), "the key's id", "5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f", True)

_FIELDS: dict[str, Any] = {
    "keyId": text("what lists, logs and audit entries call it; it says nothing about the key"),
    "name": text("as given"),
    "mode": enum(Mode, "what a `test` key sends goes to the sandbox, never to a provider"),
    "scopes": array(enum(KeyScope)),
    "hint": text("the key's last four characters, to tell it from others; empty for a short one"),
    "status": enum(KeyStatus),
    "createdAt": timestamp("when it was made"),
    "expiresAt": nullable(timestamp("when it ends by itself; null: never")),
    "revokedAt": nullable(timestamp("when it was revoked")),
    "replacedBy": nullable(text("the id of the key that took its place when it was rotated")),
    "sharesLimitsWith": nullable(text("the id of the key whose count it shares: that made it, or was rotated into it")),
}
KEY = record("Key", _FIELDS)
NEW_KEY = record("KeyShownOnce", {"key": text("the key itself; shown this once"), **_FIELDS})
KEYS = record("Keys", {"items": array(KEY, "the newest first, ended ones included")})

KEY_EXAMPLE: dict[str, Any] = {
    "keyId": KEY_ID.example,
    "name": "backend",
    "mode": "live",
    "scopes": ["send", "read"],
    "hint": "x7Qk",
    "status": "active",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "expiresAt": None,
    "revokedAt": None,
    "replacedBy": None,
    "sharesLimitsWith": "2d8e3f0a9b8c7d6e5f5f0c9d2e7a1b4c",
}
NEW_KEY_EXAMPLE = {"key": "wc_live_EXAMPLE-EXAMPLE-EXAMPLE-EXAMPLE-EXAMPLEx7Qk", **KEY_EXAMPLE}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint("keys", __name__, url_prefix=PATH, description="Manage the API keys of your client.")
    authenticator = Authenticator(services.keys)
    administration = services.key_administration

    @blueprint.operation("POST", "", id="createKey")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.reads(NewKeySchema(services.clock.now), example={"name": "backend", "scopes": ["send", "read"]})
    @blueprint.answers(201, NEW_KEY, example=NEW_KEY_EXAMPLE, description="Made. The key is not shown again.")
    @blueprint.fails(errors.UncertainWriteError)
    def create(wanted: dict[str, Any]) -> Response:
        """Make a key for your client.

        It can have no scope that your own key lacks, and a test key makes test keys only. `mode` is that of your own
        key unless you name it.
        """
        mode = wanted.get("mode", Mode.LIVE if caller().is_live else Mode.TEST)
        made = administration.create(
            Administrator.of(caller()),
            client=client_of(caller().client),
            name=wanted["name"],
            scopes=frozenset(wanted["scopes"]),
            is_live=mode is Mode.LIVE,
            expires_at=wanted.get("expires_at"),
        )
        return _shown_once(made)

    @blueprint.operation("GET", "", id="listKeys")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.answers(200, KEYS, example={"items": [KEY_EXAMPLE]})
    def find() -> Response:
        """List your client's keys, the newest first; a test key sees the test keys only."""
        records = administration.list(Administrator.of(caller()))
        return _json({"items": [_current(record) for record in records]})

    @blueprint.operation("POST", "/<key_id>/rotate", id="rotateKey")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.takes(KEY_ID)
    @blueprint.reads(RotationSchema(), example={"overlapSeconds": 3600})
    @blueprint.answers(201, NEW_KEY, example=NEW_KEY_EXAMPLE, description="Made. The key is not shown again.")
    @blueprint.fails(errors.KeyNotFoundError, errors.KeyEndedError, errors.UncertainWriteError)
    def rotate(wanted: dict[str, Any], key_id: str) -> Response:
        """Make a key that takes the place of another.

        The new key has the name, mode and scopes of the old one, which goes on working for `overlapSeconds` (a day
        unless you say otherwise; 0: it ends at once).
        """
        overlap = timedelta(seconds=wanted.get("overlap_seconds", DEFAULT_OVERLAP.total_seconds()))
        return _shown_once(administration.rotate(Administrator.of(caller()), _checked(key_id), overlap))

    @blueprint.operation("POST", "/<key_id>/revoke", id="revokeKey")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.takes(KEY_ID)
    @blueprint.answers(200, KEY, example=KEY_EXAMPLE | {"status": "revoked", "revokedAt": "2026-03-15T10:00:00.000Z"})
    @blueprint.fails(errors.KeyNotFoundError, errors.UncertainWriteError)
    def revoke(key_id: str) -> Response:
        """End a key for good, your own too if you like.

        It is refused within ten seconds everywhere, also in pages that it is logged in to. What was sent with it stays.
        """
        return _json(_current(administration.revoke(Administrator.of(caller()), _checked(key_id))))

    def _current(key: KeyRecord) -> dict[str, Any]:
        return represented(key, key.status(services.clock.now()))

    def _shown_once(made: IssuedKey) -> Response:
        response = _json({"key": made.key, **_current(made.record)}, 201)
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def represented(key: KeyRecord, status: KeyStatus) -> dict[str, Any]:
    """A key as its client sees it."""
    return {
        "keyId": key.key_id,
        "name": key.name,
        "mode": (Mode.LIVE if key.is_live else Mode.TEST).value,
        "scopes": [scope.value for scope in KeyScope if scope in key.scopes],
        "hint": key.hint,
        "status": status.value,
        "createdAt": rfc3339(key.created_at),
        "expiresAt": None if key.expires_at is None else rfc3339(key.expires_at),
        "revokedAt": None if key.revoked_at is None else rfc3339(key.revoked_at),
        "replacedBy": key.replaced_by,
        "sharesLimitsWith": key.counts_as,
    }


def _checked(key_id: str) -> str:
    if not _KEY_ID.fullmatch(key_id):
        raise errors.KeyNotFoundError("There is no key with this id among those that you manage.")
    return key_id


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, mimetype="application/json")
