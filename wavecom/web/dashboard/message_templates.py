"""Templates: their versions, how one looks beside the one that is sent, and what makes it the one that is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.core.templates.model import TemplateKind, TemplateVersion, UnreadableVersionError, VersionSummary
from wavecom.core.templates.previews import Preview, previews
from wavecom.errors import ForbiddenError, InvalidRequestError, TemplateNotFoundError
from wavecom.web.api.payload_checks import payload_check
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.fields import whole_number_within
from wavecom.web.dashboard.preview import FRAMED_POLICY

PAGE_SIZE = 50
#: No template has more.
_MOST_VERSIONS = 9_999_999


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """A version with its previews; ``trouble`` says why there are none. ``title`` is what it is to the viewer, and
    ``read`` None where a later release saved it."""

    title: str
    version: VersionSummary
    read: TemplateVersion | None
    previews: tuple[Preview, ...] = ()
    trouble: str = ""


def templates() -> str:
    """A page of the templates that the viewer may see."""
    after = viewer().client or request.args.get("account", ""), request.args.get("after", "")
    cursor = after if all(after) else None
    page = pages().services.template_administration.templates(viewer().client, PAGE_SIZE, cursor)
    further = None if page.next is None else url_for("dashboard.templates", account=page.next[0], after=page.next[1])
    first = None if cursor is None else url_for("dashboard.templates")
    return render_template("dashboard/templates.html", templates=page.items, first=first, further=further)


def template(account: str, template: str) -> str:
    """One template: its versions, from ``?below=`` on, and ``?version=`` (the newest) side by side with the one that is
    sent."""
    administration = pages().services.template_administration
    locale = request.args.get("locale", "")
    below = whole_number_within(request.args.get("below", ""), 1, _MOST_VERSIONS)
    try:
        versions = administration.versions(_own(account), template, PAGE_SIZE, below)
        newest = administration.newest(account, template).version
        shown = _shown("Looked at", account, template, request.args.get("version", str(newest)), locale)
        current = administration.current(account, template)
        sides = [shown]
        if current == shown.version.version:
            sides = [replace(shown, title="Sent now")]
        elif current is not None:
            sides.insert(0, _shown("Sent now", account, template, str(current), locale))
    except TemplateNotFoundError:
        abort(404)
    locales = sorted({locale for side in sides for locale in side.version.locales})
    older = (
        None
        if versions.next is None
        else url_for("dashboard.template", account=account, template=template, below=versions.next)
    )
    return render_template(
        "dashboard/template.html",
        account=account,
        versions=versions.items,
        newest=None if below is None else url_for("dashboard.template", account=account, template=template),
        older=older,
        shown=shown.version,
        variables={} if shown.read is None else shown.read.source.variables,
        current=current,
        sides=sides,
        locales=locales,
        locale=locale if locale in locales else "",
        may_manage=viewer().may_manage and shown.read is not None,
        may_publish=shown.read is not None and administration.may_publish(viewer().actor.name, shown.read),
    )


def template_frame(account: str, template: str, version: str) -> Response:
    """The HTML of a version's mail with its examples, as it stands in the frame."""
    try:
        shown = _shown("", _own(account), template, version, request.args.get("locale", ""))
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
        number = _number(request.form.get("version", ""))
        administration.get(_own(account), template, number)
        match request.form.get("action"):
            case "review":
                administration.ask_review(viewer().actor.name, account, template, number)
                flash("Others see now that this draft is ready to be looked at.", "good")
            case "publish":
                check = payload_check(pages().schema)
                administration.publish(viewer().actor.name, account, template, number, check=check)
                flash(f"Version {number} is sent from now on.", "good")
            case _:
                abort(422)
    except TemplateNotFoundError:
        abort(404)
    except ForbiddenError as error:
        flash(str(error), "bad")
    except InvalidRequestError as error:
        flash(f"It does not fit any more: {error.problems[0].where} {error.problems[0].message}.", "bad")
    address = url_for("dashboard.template", account=account, template=template, version=number)
    return redirect(address, 303)


def _own(account: str) -> str:
    if viewer().client not in {None, account}:
        raise TemplateNotFoundError("There is no such template.")
    return account


def _number(text: str) -> int:
    number = whole_number_within(text, 0, _MOST_VERSIONS)
    if number is None:
        raise TemplateNotFoundError("There is no such version of this template.")
    return number


def _shown(title: str, account: str, template: str, number: str, locale: str) -> ShownVersion:
    """Raises ``TemplateNotFoundError``."""
    services, version = pages().services, _number(number)
    try:
        read = services.template_administration.get(account, template, version)
    except UnreadableVersionError as error:
        [summary] = services.template_administration.versions(account, template, 1, version + 1).items
        return ShownVersion(title, summary, None, trouble=str(error))
    summary = VersionSummary.of(read)
    if read.source.kind is not TemplateKind.MESSAGE:
        return ShownVersion(title, summary, read)
    try:
        prices = services.segment_prices.of(account)
        compiled = services.templates.compiled(read)
        found = previews(compiled, locale=locale if locale in read.source.contents else None, prices=prices)
    except InvalidRequestError as error:
        problem = error.problems[0]
        text = f"Its examples can't be shown: {problem.where} {problem.message}"
        return ShownVersion(title, summary, read, trouble=text)
    return ShownVersion(title, summary, read, tuple(found))
