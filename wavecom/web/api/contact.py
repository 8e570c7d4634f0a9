"""``/api/contact``: where a client is told what concerns it as a whole, such as an endpoint that fails."""

from __future__ import annotations

from typing import Any

from flask import Response

from wavecom import errors
from wavecom.accounts import Administrator, KeyScope
from wavecom.core.account import client_of
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.shapes import nullable, record, text
from wavecom.web.authentication import Authenticator, caller

PATH = "/api/contact"

CONTACT = record("Contact", {"email": nullable(text("the address; null: nobody is told"))})
EXAMPLE = {"email": "platform@shop.example"}


class ContactSchema(BaseSchema):
    """What ``PUT /api/contact`` takes."""

    component = "ContactRequest"

    email = EmailAddress("an e-mail address, such as platform@shop.example, or null", required=True, allow_none=True)


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; the schema is built here, once."""
    blueprint = ApiBlueprint(
        "contact", __name__, url_prefix=PATH, description="Say where you are told that an endpoint of yours fails."
    )
    authenticator = Authenticator(services.keys)
    administration = services.key_administration

    @blueprint.operation("GET", "", id="readContact")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.answers(200, CONTACT, example=EXAMPLE)
    def read() -> Response:
        """Where you are told."""
        return json_response({"email": administration.contact(Administrator.of(caller()), client_of(caller().client))})

    @blueprint.operation("PUT", "", id="setContact")
    @authenticator.requires(KeyScope.ADMIN)
    @blueprint.reads(ContactSchema(), example=EXAMPLE)
    @blueprint.answers(200, CONTACT, example=EXAMPLE)
    @blueprint.fails(errors.UncertainWriteError)
    def change(wanted: dict[str, Any]) -> Response:
        """Say where you are told, with a live key.

        A mail goes there when an endpoint of your callbacks has failed for a day, and when it is called no more.
        """
        administration.set_contact(Administrator.of(caller()), client_of(caller().client), wanted["email"])
        return json_response({"email": wanted["email"]})

    return blueprint
