"""``/api/providers``: how providers stand, their weights and pauses, for keys of who runs WaveCom."""

from __future__ import annotations

from typing import Any

from flask import Response

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.accounts.keyring import FIRST_CLIENT
from wavecom.core.job import ACCOUNT_REASONS
from wavecom.core.provider_administration import ProviderView
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.provider import ProviderChangeSchema, change_of
from wavecom.web.api.shapes import array, integer, nullable, record, text, timestamp
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/providers"
NAME = Parameter("name", "path", text(maxLength=40), "the provider's name in the providers file", "gateway", True)

RECEIPTS = record(
    "ProviderReceipts",
    {
        "percent": integer(
            "what its receipts leave of the file's weight; a `weight` that people set holds in place of both"
        ),
        "health": text(f"what the receipts of the last minutes say: {', '.join(each.value for each in ReceiptHealth)}"),
        "since": timestamp("since when there is trouble, or none any more"),
    },
    description="what they leave of its weight; null: all of it",
)
PROVIDER = record(
    "Provider",
    {
        "name": text("as the providers file has it"),
        "state": nullable(text("`in use`, `paused`, `left alone` …; null: no worker has said so in the last seconds")),
        "until": nullable(timestamp("until when it is not called; null: it is, or nobody can tell")),
        "stateReason": nullable(text("why it came to this state")),
        "account": nullable(text(f"what is wrong with our account ({', '.join(sorted(ACCOUNT_REASONS))}), or null")),
        "weight": nullable(integer("its share of every step that it stands in; null: what the file says")),
        "receipts": nullable(RECEIPTS),
        "pausedUntil": nullable(timestamp("until when somebody had it paused; null: nobody has")),
        "reason": nullable(text("why its weight or pause was changed last")),
        "changedBy": nullable(text("by whom")),
        "changedAt": nullable(timestamp("when")),
    },
)
PROVIDERS = record("Providers", {"items": array(PROVIDER, "in the order of the providers file")})
EXAMPLE: dict[str, Any] = {
    "name": "gateway",
    "state": "in use",
    "until": None,
    "stateReason": None,
    "account": None,
    "weight": 20,
    "receipts": {"percent": 60, "health": "slow", "since": "2026-03-14T09:12:00.000Z"},
    "pausedUntil": None,
    "reason": "trying the new contract",
    "changedBy": "key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    "changedAt": "2026-03-14T09:26:53.589Z",
}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``."""
    blueprint = ApiBlueprint(
        "providers", __name__, url_prefix=PATH, description="See providers, weigh and pause them, for who runs WaveCom."
    )
    authenticator = Authenticator(services.keys)

    @blueprint.operation("GET", "", id="listProviders")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.answers(200, PROVIDERS, example={"items": [EXAMPLE]})
    def find() -> Response:
        """List the providers: how they stand for all workers, and what was changed while they run.

        Only live keys of the client of the first key may: providers are everybody's.
        """
        _require_operator()
        return json_response({"items": [_represented(each) for each in services.providers.all()]})

    @blueprint.operation("PATCH", "/<name>", id="changeProvider")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.takes(NAME)
    @blueprint.reads(ProviderChangeSchema(), example={"weight": 20, "reason": "trying the new contract"})
    @blueprint.answers(200, PROVIDER, example=EXAMPLE)
    @blueprint.fails(errors.ProviderNotFoundError, errors.UncertainWriteError)
    def change(wanted: dict[str, Any], name: str) -> Response:
        """Change a provider's weight or pause it, in all workers within a second and over restarts.

        `weight` is its share of every step that it stands in, `pausedUntil` a time within a day; null is what the
        providers file says, and no pause (which closes its breaker, too). What is left out stays. May be repeated.
        """
        _require_operator()
        return json_response(_represented(services.providers.change(name, change_of(wanted), actor=caller().name)))

    return blueprint


def _require_operator() -> None:
    if caller().client != FIRST_CLIENT:
        raise errors.ForbiddenError(
            f"Providers are everybody's: only live keys of the client {FIRST_CLIENT} may see and change them.",
            caller().key_id,
        )


def _represented(view: ProviderView) -> dict[str, Any]:
    status, override = view.status, view.override
    return {
        "name": view.name,
        "state": status and status.state,
        "until": rfc3339(status.until) if status is not None and status.until is not None else None,
        "stateReason": (status and status.reason) or None,
        "account": (status and status.account) or None,
        "weight": int(override.weight) if override is not None and override.weight is not None else None,
        "receipts": _receipts(view.factor) if view.factor is not None else None,
        "pausedUntil": rfc3339(override.paused_until) if override is not None and override.paused_until else None,
        "reason": override and override.reason,
        "changedBy": override and override.changed_by,
        "changedAt": rfc3339(override.changed_at) if override is not None else None,
    }


def _receipts(factor: WeightFactor) -> dict[str, Any]:
    return {"percent": factor.percent, "health": factor.health.value, "since": rfc3339(factor.since)}
