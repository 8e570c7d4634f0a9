"""``/unsubscribe/<token>``: what the links in mails lead to (RFC 8058). Without login, cookies and scripts.

A POST unsubscribes at once, whatever its body: readers of mail send ``List-Unsubscribe=One-Click``, the page's button
the same. A GET changes nothing, for programs that look for harmful links open all there are in a mail.
"""

from __future__ import annotations

from flask import Blueprint, Response
from markupsafe import Markup

from wavecom.core.suppression_list import SuppressionList
from wavecom.core.suppressions import USUAL_SCOPES, NewSuppression, SuppressionSource
from wavecom.core.unsubscribe import PATH, UnsubscribeLinks
from wavecom.web.recipient_pages import ONE_CLICK_FIELD, ONE_CLICK_VALUE, page_response

_PAGE = Markup(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 15vh auto 0; max-width: 28rem; padding: 0 1rem; }}
button {{ font: inherit; padding: .6rem 1.2rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
{form}
</main>
</body>
</html>
"""
)
_FORM = Markup(
    '<form method="post"><input type="hidden" name="{name}" value="{value}">'
    '<button type="submit">Unsubscribe</button></form>'
).format(name=ONE_CLICK_FIELD, value=ONE_CLICK_VALUE)
_QUESTION = _PAGE.format(
    title="Unsubscribe?",
    text="With this button you will get no more of these mails. Those that you ask for yourself, such as codes to log "
    "in with, still come.",
    form=_FORM,
)
_DONE = _PAGE.format(title="Unsubscribed", text="You will get no more of these mails.", form="")
_UNKNOWN = _PAGE.format(
    title="This link does not work",
    text="Perhaps it was cut off. Use the link or the button of the mail once more, or answer the mail.",
    form="",
)


def make_blueprint(links: UnsubscribeLinks | None, suppressions: SuppressionList) -> Blueprint:
    """The page and what its button does. Without ``links`` there are none, and each is unknown."""
    blueprint = Blueprint("unsubscribe", __name__)

    @blueprint.get(f"{PATH}/<token>")
    def ask(token: str) -> Response:
        is_known = links is not None and links.read(token) is not None
        return page_response(_QUESTION if is_known else _UNKNOWN, 200 if is_known else 404)

    @blueprint.post(f"{PATH}/<token>")
    def unsubscribe(token: str) -> Response:
        found = None if links is None else links.read(token)
        if found is None:
            return page_response(_UNKNOWN, 404)
        source = SuppressionSource.UNSUBSCRIBE
        suppressions.add(
            [
                NewSuppression(
                    account=found.account,
                    channel=found.channel,
                    recipient=found.recipient,
                    source=source,
                    scope=USUAL_SCOPES[source],
                    by="recipient",
                    reason="used the link of a mail",
                )
            ]
        )
        return page_response(_DONE)

    return blueprint
