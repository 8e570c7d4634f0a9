"""``GET /docs/errors``: what each error code means. The ``type`` of every problem leads here."""

from __future__ import annotations

from flask import Blueprint, Response
from markupsafe import Markup

from wavecom.web.problems import REFERENCE, documented

_PAGE = Markup(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>WaveCom: error codes</title>
</head>
<body>
<main>
<h1>Error codes</h1>
<p>Every error is <code>application/problem+json</code> (RFC 9457). Its <code>code</code> is one of these.</p>
{entries}
</main>
</body>
</html>
"""
)
_ENTRY = Markup(
    '<section id="{code}">\n<h2>{code} ({status})</h2>\n<p>{title}.</p>\n<p>What to do: {remedy}.</p>\n</section>'
)


def error_page() -> str:
    """All codes, each as a section with the code as its id."""
    sections = [
        _ENTRY.format(
            code=code, status=problem_type.status, title=problem_type.title, remedy=_with_code(problem_type.remedy)
        )
        for code, problem_type in documented().items()
    ]
    return str(_PAGE.format(entries=Markup("\n").join(sections)))


def _with_code(text: str) -> Markup:
    """What stands in backquotes as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def make_blueprint() -> Blueprint:
    """The page; it never changes while the process lives."""
    blueprint = Blueprint("reference", __name__)
    page = error_page()

    @blueprint.get(REFERENCE)
    def explain_errors() -> Response:
        return Response(page, mimetype="text/html")

    return blueprint
