"""``POST /api/campaigns/<campaignId>/…``: start, approve, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec

from flask import Response

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.campaigns.administration import CampaignAdministration
from wavecom.core.campaigns.model import Campaign
from wavecom.web.api.blueprint import ApiBlueprint, View
from wavecom.web.api.campaign_shapes import CAMPAIGN, CAMPAIGN_ID, EXAMPLE, id_in_path, represented
from wavecom.web.api.common import json_response
from wavecom.web.authentication import Authenticator, caller

P = ParamSpec("P")

_FAILS: Final = (
    errors.CampaignNotFoundError,
    errors.CampaignStatusError,
    errors.LostRaceError,
    errors.UncertainWriteError,
)


def add_to(blueprint: ApiBlueprint, authenticator: Authenticator, campaigns: CampaignAdministration) -> None:
    """Add the operations to the blueprint of campaigns."""

    def action(name: str, scope: KeyScope) -> Callable[[View[P]], View[P]]:
        def decorate(view: View[P]) -> View[P]:
            described = blueprint.answers(200, CAMPAIGN, example=EXAMPLE)(blueprint.fails(*_FAILS)(view))
            guarded = authenticator.requires(scope)(blueprint.takes(CAMPAIGN_ID)(described))
            return blueprint.operation("POST", f"/<campaign_id>/{name}", id=f"{name}Campaign")(guarded)

        return decorate

    @action("start", KeyScope.SEND)
    def start(campaign_id: str) -> Response:
        """Have the rows of a campaign become notifications, at its pace; starting twice is once.

        A large one waits for a second person then (`awaitingApproval`). Its notifications use up the daily quota of
        the key that starts it, as they are made; where that is used up, the campaign waits for the next day.
        """
        return _answer(campaigns.start(caller(), id_in_path(campaign_id), caller().client))

    @action("approve", KeyScope.MANAGE)
    def approve(campaign_id: str) -> Response:
        """Agree to a campaign that somebody else has made and started.

        Takes a key of the same client with the scope `manage` that has neither made nor started it.
        """
        return _answer(campaigns.approve(caller(), id_in_path(campaign_id), caller().client))

    @action("pause", KeyScope.SEND)
    def pause(campaign_id: str) -> Response:
        """Send no further row until it is resumed; what is a notification by then goes its way."""
        return _answer(campaigns.pause(caller(), id_in_path(campaign_id), caller().client))

    @action("resume", KeyScope.SEND)
    def resume(campaign_id: str) -> Response:
        """Go on with a campaign that was paused."""
        return _answer(campaigns.resume(caller(), id_in_path(campaign_id), caller().client))

    @action("cancel", KeyScope.SEND)
    def cancel(campaign_id: str) -> Response:
        """Send no further row, and cancel its notifications that wait. There is no way back.

        Notifications that are on their way, or may have been sent, stay as they are.
        """
        return _answer(campaigns.cancel(caller(), id_in_path(campaign_id), caller().client))


def _answer(campaign: Campaign) -> Response:
    return json_response(represented(campaign))
