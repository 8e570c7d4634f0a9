"""``/preferences/<token>``: where a recipient chooses what comes, and by what. Without login, cookies and scripts.

The token says whose page it is; who has it may change what stands there, as with the link of a mail. A GET changes
nothing. A POST from the page saves what was chosen, stops all that can be stopped, or takes that back; the one click of
a mail reader (RFC 8058), which says that it is one, ends what the mail was about. Any other changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response, request
from markupsafe import Markup

from wavecom.core.categories import Branding, Category
from wavecom.core.lanes import Channel
from wavecom.core.preferences import is_wanted
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.core.unsubscribe import PREFERENCES_PATH, PreferenceTarget, UnsubscribeLinks
from wavecom.errors import LostRaceError, RecipientNotFoundError, StoreError
from wavecom.web.recipient_pages import ONE_CLICK_FIELD, ONE_CLICK_VALUE, page_response

#: A form with each channel of as many categories as there may be takes a few KiB.
_BODY_LIMIT_BYTES: Final = 64 * 1024
_SAVE, _STOP, _RESUME = "save", "stop", "resume"
_SHOWN, _WANTED = "shown", "wanted"
_CHANNELS: Final = {Channel.EMAIL: "E-mail", Channel.SMS: "Text message", Channel.PUSH: "App or browser"}

_PAGE: Final = Markup(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 36rem; padding: 0 1rem 4rem; }}
header {{ border-top: .5rem solid {color}; margin: 0 -1rem; padding: 1rem; font-weight: 700; letter-spacing: .04em; }}
fieldset {{ border: 1px solid #8886; border-radius: .5rem; margin: 0 0 1rem; padding: .5rem 1rem; }}
legend {{ font-weight: 600; padding: 0 .25rem; }}
p {{ margin: .25rem 0 .5rem; }}
label {{ display: flex; align-items: center; gap: .75rem; min-height: 2.75rem; }}
input[type=checkbox] {{ width: 1.4rem; height: 1.4rem; accent-color: {color}; }}
button {{ font: inherit; min-height: 2.75rem; padding: .5rem 1.2rem; border-radius: .5rem; cursor: pointer; }}
button.main {{ background: {color}; color: #fff; border: 1px solid {color}; }}
.said {{ border-left: .3rem solid {color}; padding: .25rem .75rem; }}
</style>
</head>
<body>
<header>{logo}</header>
<main>
<h1>{title}</h1>
{said}
{content}
</main>
</body>
</html>
"""
)
_SAID: Final = Markup('<p class="said" role="status">{text}</p>')
_CHOICES_FORM: Final = Markup(
    '<form method="post">{groups}'
    '<button class="main" type="submit" name="action" value="save">Save what I chose</button></form>'
)
_RESUME_FORM: Final = Markup(
    '<form method="post"><h2>You have stopped everything</h2>'
    "<p>Nothing comes but what can't be stopped, and what you have chosen since.</p>"
    '<button type="submit" name="action" value="resume">Take that back</button></form>'
)
_STOP_FORM: Final = Markup(
    '<form method="post"><h2>Enough of all this?</h2>'
    "<p>With this button nothing comes any more that may be stopped, now and later.</p>"
    '<button type="submit" name="action" value="stop">Stop everything</button></form>'
)
_GROUP: Final = Markup("<fieldset><legend>{title}</legend>{description}{choices}</fieldset>")
_CHOICE: Final = Markup(
    '<input type="hidden" name="shown" value="{value}">'
    '<label><input type="checkbox" name="wanted" value="{value}"{checked}>{channel}</label>'
)
_ALWAYS: Final = Markup("<p>This always comes: it can't be switched off.</p>")
_TEXT: Final = Markup("<p>{text}</p>")
_UNKNOWN: Final = "Perhaps the link was cut off, or you are no longer registered. Use the link of the newest mail."
_LATER: Final = "Please try again in a few seconds."
_STOPPED: Final = "Stopped. Nothing comes any more that may be stopped."


def make_blueprint(links: UnsubscribeLinks | None, recipients: RecipientAdministration) -> Blueprint:
    """The page and what its buttons do. Without ``links`` there is none."""
    blueprint = Blueprint("preferences", __name__)

    @blueprint.get(f"{PREFERENCES_PATH}/<token>")
    def ask(token: str) -> Response:
        page = None if links is None else links.read_preferences(token)
        try:
            return _unknown() if page is None else _shown(recipients, page)
        except StoreError:
            return _busy()

    @blueprint.post(f"{PREFERENCES_PATH}/<token>")
    def change(token: str) -> Response:
        page = None if links is None else links.read_preferences(token)
        if page is None:
            return _unknown()
        request.max_content_length = _BODY_LIMIT_BYTES
        try:
            return _shown(recipients, page, _changed(recipients, page, request.form.get("action")))
        except RecipientNotFoundError:
            return _unknown()
        except (StoreError, LostRaceError):
            return _busy()

    return blueprint


def _shown(recipients: RecipientAdministration, page: PreferenceTarget, said: str = "") -> Response:
    try:
        recipient = recipients.get(page.account, page.recipient_id)
    except RecipientNotFoundError:
        # Who was deleted has nothing to choose, but what he refuses is kept all the same.
        return _answer(_TEXT.format(text=said), recipients.branding(page.account)) if said else _unknown()
    categories = recipients.categories(page.account)
    return _answer(_content(recipient, categories), recipients.branding(page.account), said=said)


def _changed(recipients: RecipientAdministration, page: PreferenceTarget, action: str | None) -> str:
    """Do what was asked for; what there is to say of it."""
    if action == _SAVE:
        recipients.choose(page.account, page.recipient_id, _chosen(recipients.categories(page.account)))
        return "Saved. It holds from now on."
    if action == _STOP:
        recipients.stop(page.account, page.recipient_id)
        return _STOPPED
    if action == _RESUME:
        recipients.resume(page.account, page.recipient_id)
        return "Taken back. You get what you have not said no to."
    if request.form.get(ONE_CLICK_FIELD) != ONE_CLICK_VALUE:
        return "Nothing was changed. Choose below."
    if not page.category:
        recipients.stop(page.account, page.recipient_id, keeps_later_choices=True)
        return _STOPPED
    if any(each.is_required for each in recipients.categories(page.account) if each.name == page.category):
        return "Messages of this kind can't be stopped. Nothing was changed."
    recipients.refuse(page.account, page.recipient_id, page.category, Channel.EMAIL)
    return "Done. You get no more mails of this kind."


def _chosen(categories: Sequence[Category]) -> dict[str, dict[Channel, bool]]:
    """What was chosen of all that was shown, as far as it can be chosen."""
    seen, wanted = set(request.form.getlist(_SHOWN)), set(request.form.getlist(_WANTED))
    return {
        category.name: channels
        for category in categories
        if not category.is_required
        and (
            channels := {
                channel: _value(category, channel) in wanted
                for channel in Channel
                if category.takes(channel) and _value(category, channel) in seen
            }
        )
    }


def _content(recipient: RegisteredRecipient, categories: Sequence[Category]) -> Markup:
    parts = [_TEXT.format(text="There are no kinds of messages to choose from.")]
    if categories:
        parts = [_CHOICES_FORM.format(groups=Markup("").join(_group(recipient, each) for each in categories))]
    if recipient.stopped_at is not None:
        parts.append(_RESUME_FORM)
    if recipient.stopped_at is None or any(True in channels.values() for channels in recipient.choices.values()):
        parts.append(_STOP_FORM)
    return Markup("").join(parts)


def _group(recipient: RegisteredRecipient, category: Category) -> Markup:
    description = _TEXT.format(text=category.description) if category.description else ""
    taken = [channel for channel in Channel if category.takes(channel)]
    # Where no address is known yet, what may come once there is one can be chosen as well.
    reached = [channel for channel in taken if recipient.address(channel) is not None] or taken
    choices = _ALWAYS
    if not category.is_required:
        choices = Markup("").join(
            _CHOICE.format(
                value=_value(category, channel),
                checked=Markup(" checked") if is_wanted(recipient, category, channel) else "",
                channel=_CHANNELS[channel],
            )
            for channel in reached
        )
    return _GROUP.format(title=category.title, description=description, choices=choices)


def _value(category: Category, channel: Channel) -> str:
    return f"{category.name}:{channel.value}"


def _busy() -> Response:
    """Nobody can tell whether anything was changed; to be asked again."""
    answer = _answer(_TEXT.format(text=_LATER), Branding(""), title="This did not work just now", status=503)
    answer.headers["Retry-After"] = "5"
    return answer


def _unknown() -> Response:
    return _answer(_TEXT.format(text=_UNKNOWN), Branding(""), title="This link does not work", status=404)


def _answer(content: Markup, branding: Branding, *, title: str = "", said: str = "", status: int = 200) -> Response:
    page = _PAGE.format(
        title=title or (f"Messages from {branding.name}" if branding.name else "Your messages"),
        color=branding.color,
        logo=branding.logo_text or branding.name,
        said=_SAID.format(text=said) if said else "",
        content=content,
    )
    return page_response(page, status)
