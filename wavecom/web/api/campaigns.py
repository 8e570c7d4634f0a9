"""``/api/campaigns``: one message for up to a million recipients, uploaded as rows."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.campaigns.administration import NewCampaign
from wavecom.core.campaigns.model import Campaign, UploadState
from wavecom.services.web import WebServices
from wavecom.web.api import campaign_actions
from wavecom.web.api.arguments import HEADER, IDEMPOTENCY_KEY, idempotency_key
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.campaign_rows import (
    COMPLETE,
    OFFSET,
    is_last_part,
    rejected_csv,
    row_check,
    row_format,
    row_parts,
    upload_offset,
)
from wavecom.web.api.campaign_shapes import (
    CAMPAIGN,
    CAMPAIGN_ID,
    EXAMPLE,
    NEW_EXAMPLE,
    UPLOAD,
    UPLOAD_EXAMPLE,
    cursor_after,
    id_in_path,
    represented,
    represented_upload,
)
from wavecom.web.api.common import json_response
from wavecom.web.api.paging import LINK, page_response
from wavecom.web.api.schemas.campaign import CampaignListRequest, CampaignQuery, CampaignSchema
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.shapes import Shape, array, nullable, record, text
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/campaigns"
_PAGE = record(
    "Campaigns",
    {"items": array(CAMPAIGN, "the newest first"), "next": nullable(text("the address of the next page"))},
)
_CSV_EXAMPLE = "Mobile,Customer\n+447700900123,A-1\nnone,A-2\n"
_REJECTED_EXAMPLE = "row,line,field,code,message\r\n2,3,Mobile,invalid,must be a phone number in E.164 form\r\n"


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "campaigns", __name__, url_prefix=PATH, description="One message for many recipients, at a pace."
    )
    authenticator = Authenticator(services.keys)
    campaigns = services.campaigns
    settings = services.settings
    schema = NotificationSchema(services.clock.now, settings.mail_addresses, settings.sender_id_signs)

    @blueprint.operation("POST", "", id="createCampaign")
    @authenticator.requires(KeyScope.SEND)
    @blueprint.takes(IDEMPOTENCY_KEY)
    @blueprint.reads(CampaignSchema(), example=NEW_EXAMPLE)
    @blueprint.answers(201, CAMPAIGN, example=EXAMPLE, headers={"Location": "where it can be read"})
    @blueprint.fails(errors.IdempotencyMismatchError, errors.UncertainWriteError)
    def create(new: NewCampaign) -> Response:
        """Make a campaign, which then waits for its rows.

        Upload the rows, look at what was rejected, start it. What `columns` says of a column goes into the
        notification of each row: `to.email`, `locale`, `variables.name`. Without `columns` they go by their names.
        """
        campaign = campaigns.create(caller(), new, idempotency_key(request.headers.get(HEADER)))
        response = json_response(represented(campaign), HTTPStatus.CREATED)
        response.headers["Location"] = f"{request.root_path}{PATH}/{campaign.campaign_id}"
        return response

    @blueprint.operation("GET", "", id="listCampaigns")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(CampaignQuery(), "query", example={"limit": 20})
    @blueprint.answers(
        200,
        _PAGE,
        example={"items": [EXAMPLE], "next": None},
        headers=LINK,
    )
    def find(query: CampaignListRequest) -> Response:
        """List your campaigns, the newest first."""
        found = campaigns.newest(caller().client, query.limit, query.after)
        after = cursor_after(found[-1]) if len(found) == query.limit else None
        return page_response([represented(each) for each in found], after)

    @blueprint.operation("GET", "/<campaign_id>", id="readCampaign")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(CAMPAIGN_ID)
    @blueprint.answers(200, CAMPAIGN, example=EXAMPLE)
    @blueprint.fails(errors.CampaignNotFoundError)
    def read(campaign_id: str) -> Response:
        """A campaign with its progress and outcome."""
        return json_response(represented(_own(campaign_id)))

    @blueprint.operation("GET", "/<campaign_id>/rows", id="readCampaignUpload")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(CAMPAIGN_ID)
    @blueprint.answers(200, UPLOAD, example=UPLOAD_EXAMPLE, headers={"Upload-Offset": "the byte that comes next"})
    @blueprint.fails(errors.CampaignNotFoundError)
    def read_upload(campaign_id: str) -> Response:
        """How far the upload of rows is: where to go on after it broke off. HEAD has it in headers alone."""
        return _upload_response(_own(campaign_id).upload)

    @blueprint.operation("PATCH", "/<campaign_id>/rows", id="uploadCampaignRows")
    @authenticator.requires(KeyScope.SEND)
    @blueprint.takes(CAMPAIGN_ID, OFFSET, COMPLETE)
    @blueprint.reads_text(
        "text/csv",
        "CSV in UTF-8, whose first line names the columns; or NDJSON as application/x-ndjson; with gzip if you like",
        example=_CSV_EXAMPLE,
    )
    @blueprint.answers(200, UPLOAD, example=UPLOAD_EXAMPLE, headers={"Upload-Offset": "the byte that comes next"})
    @blueprint.fails(
        errors.CampaignNotFoundError, errors.CampaignStatusError, errors.UploadOffsetError, errors.UncertainWriteError
    )
    def upload(campaign_id: str) -> Response:
        """Upload rows, up to a million, in one request or in many.

        A body may be of any length, and is taken while it comes. After a break ask how far it came (`GET` or `HEAD`)
        and go on with the byte that `Upload-Offset` names; nothing is lost or taken twice. Offsets count bytes without
        compression. Send `Upload-Complete: ?1` with the last rows. A row that is wrong costs no other.
        """
        campaign = _own(campaign_id)
        actor = caller()
        campaigns.note_upload(actor, campaign)
        state = services.campaign_uploads.receive(
            campaign,
            upload_offset(),
            row_parts(),
            row_format(),
            row_check(actor, schema, services.templates, services.recipients, services.acceptance),
            is_last=is_last_part(),
        )
        return _upload_response(state)

    @blueprint.operation("GET", "/<campaign_id>/rejected", id="exportRejectedRows")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(CAMPAIGN_ID)
    @blueprint.answers(
        200, Shape("RejectedRowsCsv", {"type": "string"}), example=_REJECTED_EXAMPLE, media_type="text/csv"
    )
    @blueprint.fails(errors.CampaignNotFoundError, errors.TooManyStreamsError)
    def rejected(campaign_id: str) -> Response:
        """The rows that become no notification, with the reasons, as CSV."""
        return rejected_csv(campaigns, _own(campaign_id).campaign_id, owner=caller().key_id)

    campaign_actions.add_to(blueprint, authenticator, campaigns)

    def _own(campaign_id: str) -> Campaign:
        return campaigns.get(id_in_path(campaign_id), caller().client)

    return blueprint


def _upload_response(upload: UploadState) -> Response:
    response = json_response(represented_upload(upload))
    response.headers["Upload-Offset"] = str(upload.offset)
    response.headers["Upload-Complete"] = "?1" if upload.is_complete else "?0"
    return response
