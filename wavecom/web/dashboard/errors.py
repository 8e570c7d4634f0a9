"""What goes wrong, as pages for people: what happened and what to do next, never a stack trace."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, make_response, render_template, request
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound, RequestEntityTooLarge

from wavecom.errors import ForbiddenError, JobNotFoundError, StoreError, UnavailableError, UnknownHostError
from wavecom.web import problems
from wavecom.web.dashboard.context import pages
from wavecom.web.dashboard.headers import add_headers
from wavecom.web.security import FORBIDDEN, FOREIGN_FORM, PAGES


def add_error_pages(blueprint: Blueprint) -> None:
    """Answer every error that leaves one of the blueprint's views with a page."""
    blueprint.register_error_handler(HTTPException, http_error)
    # By code as well: a handler that the app has for the code alone would win over one for the class.
    for code in (400, 401, 403, 404, 405, 413, 415, 429, 500, 503):
        blueprint.register_error_handler(code, http_error)
    blueprint.register_error_handler(CSRFError, _csrf_error)
    blueprint.register_error_handler(JobNotFoundError, _job_not_found)
    blueprint.register_error_handler(ForbiddenError, _forbidden)
    blueprint.register_error_handler(UnknownHostError, _unknown_host)
    blueprint.register_error_handler(UnavailableError, _unavailable)


def add_pages_for_lost_addresses(app: Flask) -> None:
    """Addresses that no view has, and methods that a page does not take: a page for people, for programs as before."""

    def answer(error: HTTPException) -> Response:
        accepts = request.accept_mimetypes
        is_person = accepts.best_match(["application/problem+json", "text/html"]) == "text/html"
        if not is_person or request.path.startswith("/api/"):
            return problems.http_answer(error)
        return add_headers(http_error(error))

    for code in (404, 405):
        app.register_error_handler(code, answer)


def http_error(error: HTTPException) -> Response:
    """The page for any HTTP error."""
    match error:
        case NotFound():
            return _page(404, "There is no such page", "The address may be mistyped, or the page has moved.")
        case RequestEntityTooLarge():
            return _page(413, "That is too large", "Attachments and texts together are over the limit. Send less.")
        case InternalServerError():
            text = "The mistake is on our side and has been written to the log. Nothing was sent by this request."
            return _page(500, "Something went wrong", text)
        case _:
            response = _page(error.code or 500, error.name, error.description or "")
            for name, value in error.get_headers():
                if name not in {"Content-Type", "Content-Length"}:
                    response.headers[name] = value
            return response


def _csrf_error(_error: CSRFError) -> Response:
    pages().security_events.refused(PAGES, FOREIGN_FORM, request.remote_addr or "")
    text = "This form is from an earlier session, or came from another site. Nothing was done. Open the page afresh."
    return _page(400, "The form is out of date", text)


def _job_not_found(_error: JobNotFoundError) -> Response:
    text = "No notification has this id, or it belongs to another client, or its time of keeping is over."
    return _page(404, "There is no such notification", text)


def _forbidden(error: ForbiddenError) -> Response:
    key_id = getattr(current_user, "key_id", None)
    pages().security_events.refused(PAGES, FORBIDDEN, request.remote_addr or "", key_id=key_id)
    return _page(403, "Your key may not do this" if key_id else "You may not do this", str(error))


def _unknown_host(error: UnknownHostError) -> Response:
    return _page(421, "This server has another name", str(error))


def _unavailable(error: UnavailableError) -> Response:
    what = "The store (MongoDB)" if isinstance(error, StoreError) else "A server that this page needs"
    text = f"{what} does not answer now. Notifications that were accepted are safe. Try again in a few seconds."
    again = request.full_path.rstrip("?") if request.method == "GET" else ""
    response = _page(503, "Not available now", text, again)
    response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _page(status: int, title: str, text: str, again: str = "") -> Response:
    return make_response(render_template("dashboard/error.html", title=title, text=text, again=again), status)
