"""A mail's HTML as its recipient sees it, in a frame that can do nothing: no script, no form, no request to anywhere.

What a client wrote is shown by the browser only here, in a document of its own: its policy forbids everything but
inline style, and ``sandbox`` takes away its origin, so that it reaches neither this site nor its cookies.
"""

from __future__ import annotations

from typing import Final

from flask import Response, abort, render_template

from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.web.dashboard.job_actions import visible

#: For the framed document alone: pictures from elsewhere stay away, because who is asked for one learns of the look.
FRAMED_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


def preview(job_id: str) -> str:
    """The page with the frame."""
    job = visible(job_id)
    if html_of(job) is None:
        abort(404)
    return render_template("dashboard/preview.html", job=job)


def preview_frame(job_id: str) -> Response:
    """What stands in the frame."""
    html = html_of(visible(job_id))
    if html is None:
        abort(404)
    return Response(html, mimetype="text/html", headers={"Content-Security-Policy": FRAMED_POLICY})


def html_of(job: Job) -> str | None:
    """The HTML of a mail that has some."""
    html = job.payload.get("html") if job.type is Channel.EMAIL else None
    return html if isinstance(html, str) and html else None
