"""Templates: their versions, how one looks beside the one that is sent, and what makes it the one that is sent."""

from __future__ import annotations

from dataclasses import dataclass

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.core.templates.model import TemplateKind, TemplateVersion
from wavecom.core.templates.previews import Preview, previews
from wavecom.errors import ForbiddenError, InvalidRequestError, TemplateNotFoundError
from wavecom.web.api.payload_checks import payload_check
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.fields import whole_number_within
from wavecom.web.dashboard.preview import FRAMED_POLICY

SHOWN_VERSIONS = 50
#: No template has more.
_MOST_VERSIONS = 9_999_999


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """A version with its previews; ``trouble`` says why there are none. ``title`` is what it is to the viewer."""

    title: str
    version: TemplateVersion
    previews: tuple[Preview, ...]
    trouble: str = ""


def templates() -> str:
    """The templates that the viewer may see."""
    found = pages().services.template_administration.all(viewer().client)
    return render_template("dashboard/templates.html", templates=found)


def template(account: str, template: str) -> str:
    """One template: its versions, and ``?version=`` (the newest) side by side with the one that is sent."""
    administration = pages().services.template_administration
    try:
        versions = administration.versions(_own(account), template, SHOWN_VERSIONS)
        number = request.args.get("version", str(versions[0].version))
        shown = _version(account, template, number)
        current = administration.current(account, template)
        sent = None if current in {None, shown.version} else _version(account, template, str(current))
    except TemplateNotFoundError:
        abort(404)
    locales = sorted({locale for each in (shown, sent) if each is not None for locale in each.source.contents})
    locale = request.args.get("locale", "")
    sides = [_shown("Sent now", sent, locale)] if sent is not None else []
    sides.append(_shown("Sent now" if current == shown.version else "Looked at", shown, locale))
    return render_template(
        "dashboard/template.html",
        account=account,
        versions=versions,
        shown=shown,
        current=current,
        sides=sides,
        locales=locales,
        locale=locale if locale in locales else "",
        may_manage=viewer().may_manage,
        may_publish=administration.may_publish(viewer().actor.name, shown),
    )


def template_frame(account: str, template: str, version: str) -> Response:
    """The HTML of a version's mail with its examples, as it stands in the frame."""
    try:
        shown = _shown("", _version(_own(account), template, version), request.args.get("locale", ""))
    except TemplateNotFoundError:
        abort(404)
    html = next((each.payload["html"] for each in shown.previews if "html" in each.payload), None)
    if html is None:
        abort(404)
    return Response(html, mimetype="text/html", headers={"Content-Security-Policy": FRAMED_POLICY})


def change_template(account: str, template: str) -> Response:
    """Ask for a version's review, or publish it."""
    administration = pages().services.template_administration
    try:
        known = _version(_own(account), template, request.form.get("version", ""))
        match request.form.get("action"):
            case "review":
                administration.ask_review(viewer().actor.name, account, template, known.version)
                flash("Others see now that this draft is ready to be looked at.", "good")
            case "publish":
                check = payload_check(pages().schema)
                administration.publish(viewer().actor.name, account, template, known.version, check=check)
                flash(f"Version {known.version} is sent from now on.", "good")
            case _:
                abort(422)
    except TemplateNotFoundError:
        abort(404)
    except ForbiddenError as error:
        flash(str(error), "bad")
    except InvalidRequestError as error:
        flash(f"It does not fit any more: {error.problems[0].where} {error.problems[0].message}.", "bad")
    address = url_for("dashboard.template", account=account, template=template, version=known.version)
    return redirect(address, 303)


def _own(account: str) -> str:
    if viewer().client not in {None, account}:
        raise TemplateNotFoundError("There is no such template.")
    return account


def _version(account: str, template: str, number: str) -> TemplateVersion:
    version = whole_number_within(number, 0, _MOST_VERSIONS)
    if version is None:
        raise TemplateNotFoundError("There is no such version of this template.")
    return pages().services.template_administration.get(account, template, version)


def _shown(title: str, version: TemplateVersion, locale: str) -> ShownVersion:
    if version.source.kind is not TemplateKind.MESSAGE:
        return ShownVersion(title, version, ())
    try:
        prices = pages().services.segment_prices.of(version.client)
        found = previews(version, locale=locale if locale in version.source.contents else None, prices=prices)
    except InvalidRequestError as error:
        problem = error.problems[0]
        return ShownVersion(title, version, (), f"{problem.where} {problem.message}")
    return ShownVersion(title, version, tuple(found))
