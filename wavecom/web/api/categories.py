"""``/api/categories`` and ``/api/preference-page``: what recipients may want or not, and how they are asked."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.categories import (
    NAME_PATTERN,
    NAME_RULE,
    Branding,
    Category,
    CategoryDefault,
    is_category_name,
)
from wavecom.core.lanes import Channel
from wavecom.errors import CategoryNotFoundError, InvalidRequestError, Problem
from wavecom.services.web import WebServices
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.hours import HOURS, WINDOW, hours_json, windows_json
from wavecom.web.api.schemas.category import BrandingSchema, CategorySchema
from wavecom.web.api.shapes import array, boolean, enum, integer, nullable, record, text
from wavecom.web.authentication import Authenticator, caller

PATH, PAGE_PATH = "/api/categories", "/api/preference-page"

NAME = Parameter("category", "path", text(pattern=f"^{NAME_PATTERN}$"), "the name of the category", "news", True)
_CAP = record("FrequencyCapOfCategory", {"count": integer(minimum=1), "seconds": integer(minimum=60)})
CATEGORY = record(
    "Category",
    {
        "name": text(),
        "title": text("what recipients read"),
        "description": text(),
        "default": enum(CategoryDefault, "what holds for who has chosen nothing"),
        "isRequired": boolean("it can't be switched off, and waits for nothing"),
        "channels": array(enum(Channel), "by which it may be sent"),
        "needsVerified": boolean("it goes to verified addresses only"),
        "obeysQuietHours": boolean(),
        "quietHours": nullable({**HOURS.schema, "type": "object"}),
        "windows": array(WINDOW, "in which it is sent; empty: at any hour"),
        "timeZone": text("of recipients whose own is not known"),
        "frequencyCap": nullable({**_CAP.schema, "type": "object"}),
    },
)
_CATEGORIES = record("Categories", {"items": array(CATEGORY, "by name")})
_BRANDING = record("PreferencePage", {"name": text(), "color": text(), "logoText": text()})
_REQUEST_EXAMPLE: dict[str, Any] = {
    "title": "News and offers",
    "description": "Once a week at most.",
    "default": "opt_in",
    "channels": ["email", "push"],
    "quietHours": {"from": "21:00", "to": "08:00"},
    "windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "18:00"}],
    "timeZone": "Europe/Zurich",
    "frequencyCap": {"count": 1, "seconds": 604_800},
}
EXAMPLE = {"name": "news", "isRequired": False, "needsVerified": False, "obeysQuietHours": True, **_REQUEST_EXAMPLE}
_BRANDING_EXAMPLE = {"name": "Harbour Bank", "color": "#0f4c81", "logoText": "HARBOUR"}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "categories",
        __name__,
        url_prefix="/api",
        description="Say what kinds of messages there are, and when they may come.",
    )
    authenticator = Authenticator(services.keys)
    recipients = services.recipients

    @blueprint.operation("GET", "/categories", id="listCategories")
    @authenticator.requires(KeyScope.READ)
    @blueprint.answers(200, _CATEGORIES, example={"items": [EXAMPLE]})
    def list_categories() -> Response:
        """List your categories."""
        return json_response({"items": [represented(each) for each in recipients.categories(caller().client)]})

    @blueprint.operation("GET", "/categories/<string:category>", id="readCategory")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(NAME)
    @blueprint.answers(200, CATEGORY, example=EXAMPLE)
    @blueprint.fails(errors.CategoryNotFoundError)
    def read(category: str) -> Response:
        """One category."""
        return json_response(represented(recipients.category(caller().client, _name(category))))

    @blueprint.operation("PUT", "/categories/<string:category>", id="putCategory")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(NAME)
    @blueprint.reads(CategorySchema(), example=_REQUEST_EXAMPLE)
    @blueprint.answers(200, CATEGORY, example=EXAMPLE, description="It was there, and is as you say now.")
    @blueprint.answers(201, CATEGORY, example=EXAMPLE, headers={"Location": "where it can be read"})
    @blueprint.fails(errors.UncertainWriteError)
    def put(wanted: dict[str, Any], category: str) -> Response:
        """Make a category, or say all of one anew; in force everywhere within 2 seconds.

        A recipient gets at most `frequencyCap.count` messages of it in any `frequencyCap.seconds`; further ones fail
        with `error.code` `unwanted`. Notifications of high priority wait for nothing.
        """
        if not is_category_name(category):
            raise InvalidRequestError([Problem("", f"the name in the address must be {NAME_RULE}", "invalid")])
        made = CategorySchema.category(wanted, caller().client, category)
        is_new = recipients.put_category(made, caller().name)
        response = json_response(represented(made), 201 if is_new else 200)
        if is_new:
            response.headers["Location"] = f"{request.root_path}{PATH}/{category}"
        return response

    @blueprint.operation("DELETE", "/categories/<string:category>", id="deleteCategory")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(NAME)
    @blueprint.answers(204, description="It is deleted; nothing new can name it.")
    @blueprint.fails(errors.CategoryNotFoundError, errors.UncertainWriteError)
    def delete(category: str) -> Response:
        """Delete a category. What recipients have chosen of it is kept, for one of the same name.

        Notifications of it that wait fail with `error.code` `unwanted`, unless they have high priority.
        """
        recipients.remove_category(caller().client, _name(category), caller().name)
        return Response(status=204)

    @blueprint.operation("GET", "/preference-page", id="readPreferencePage")
    @authenticator.requires(KeyScope.READ)
    @blueprint.answers(200, _BRANDING, example=_BRANDING_EXAMPLE)
    def read_page() -> Response:
        """How the page looks on which your recipients choose what they want."""
        return json_response(_page_json(recipients.branding(caller().client)))

    @blueprint.operation("PUT", "/preference-page", id="setPreferencePage")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.reads(BrandingSchema(), example=_BRANDING_EXAMPLE)
    @blueprint.answers(200, _BRANDING, example=_BRANDING_EXAMPLE)
    @blueprint.fails(errors.UncertainWriteError)
    def set_page(wanted: dict[str, Any]) -> Response:
        """Say whose page it is, and in which color."""
        branding = BrandingSchema.branding(wanted)
        recipients.put_branding(caller().client, branding, caller().name)
        return json_response(_page_json(branding))

    return blueprint


def represented(category: Category) -> dict[str, Any]:
    """A category as its client sees it."""
    cap = category.cap
    return {
        "name": category.name,
        "title": category.title,
        "description": category.description,
        "default": category.default.value,
        "isRequired": category.is_required,
        "channels": [channel.value for channel in Channel if category.takes(channel)],
        "needsVerified": category.needs_verified,
        "obeysQuietHours": category.obeys_quiet_hours,
        "quietHours": hours_json(category.quiet_hours),
        "windows": windows_json(category.windows),
        "timeZone": category.time_zone,
        "frequencyCap": None if cap is None else {"count": cap.count, "seconds": int(cap.period.total_seconds())},
    }


def _page_json(branding: Branding) -> dict[str, Any]:
    return {"name": branding.name, "color": branding.color, "logoText": branding.logo_text}


def _name(given: str) -> str:
    """Raises ``CategoryNotFoundError`` for what no category can be called."""
    if not is_category_name(given):
        raise CategoryNotFoundError
    return given
