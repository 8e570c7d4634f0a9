"""What a client's contact is told about an endpoint, when, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contract.test_callback_storage import make_callback
from tests.factories import NOW, later, make_job
from tests.memory_storage import MemoryCallbackStore
from wavecom.core.account import is_client_name
from wavecom.core.callback_notices import CallbackNotices
from wavecom.core.callbacks import Callback, CallbackState, DisabledReason, NoticeKind
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import NewNotification
from wavecom.core.submission import Accepted
from wavecom.errors import ChannelNotServedError, StoreError

URL = "https://hooks.acme.example/a-secret-path?token=a-secret"


class Notices:
    """Notices over memory; what they accept, one for each idempotency key, as the store does."""

    def __init__(self) -> None:
        self.callbacks = MemoryCallbackStore()
        self.contacts: dict[str, str | None] = {"acme": "platform@acme.example"}
        self.accepted: dict[tuple[str, str | None], NewNotification] = {}
        self.refusal: Exception | None = None
        self.notices = CallbackNotices(self.callbacks, self.contacts.get, self.accept)

    def accept(self, new: NewNotification) -> Accepted:
        if self.refusal is not None:
            raise self.refusal
        key = new.client, new.idempotency_key
        is_replay = key in self.accepted
        self.accepted.setdefault(key, new)
        return Accepted(make_job(client=new.client), is_replay)

    def owes(self, kind: NoticeKind = NoticeKind.DISABLED, **overrides: Any) -> Callback:
        fields: dict[str, Any] = {
            "url": URL,
            "name": "shop",
            "state": CallbackState.DISABLED,
            "disabled_reason": DisabledReason.FAILING,
            "failures": 214,
            "failing_since": NOW,
            "owed_notice": kind,
        }
        callback = make_callback(**(fields | overrides))
        self.callbacks.add(callback)
        return callback

    def sent(self) -> list[NewNotification]:
        return list(self.accepted.values())


@pytest.fixture
def notices() -> Notices:
    return Notices()


def test_the_contact_is_told_once_by_a_mail_of_the_systems_own_client(notices: Notices) -> None:
    callback = notices.owes()

    assert (notices.notices.run(), notices.notices.run()) == (1, 0)

    [mail] = notices.sent()
    assert (mail.client, mail.type, mail.to) == ("wavecom", Channel.EMAIL, {"email": "platform@acme.example"})
    assert "hooks.acme.example" in mail.payload["subject"]
    assert f"PATCH /api/callbacks/{callback.callback_id}" in mail.payload["text"]
    assert f'{{"since": "{NOW:%Y-%m-%dT%H:%M:%SZ}"}}' in mail.payload["text"]
    assert "214 tries" in mail.payload["text"]
    assert not is_client_name(mail.client), "or a client could read notices to others"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"disabled_reason": DisabledReason.GONE, "failing_since": None, "disabled_at": NOW}, "410 Gone"),
        (
            {"kind": NoticeKind.FAILING, "state": CallbackState.ACTIVE},
            f"disabled at {later(days=3):%Y-%m-%dT%H:%M:%SZ}",
        ),
    ],
)
def test_each_notice_says_what_happened_and_what_comes(notices: Notices, overrides: dict[str, Any], words: str) -> None:
    notices.owes(**overrides)

    notices.notices.run()

    assert words in notices.sent()[0].payload["text"]


def test_a_secret_in_an_address_is_in_no_mail_and_no_log(notices: Notices) -> None:
    notices.owes()
    notices.contacts.clear()

    with capture_logs() as logs:
        notices.notices.run()
    notices.contacts["acme"] = "platform@acme.example"
    notices.owes(callback_id="b" * 32)
    notices.notices.run()

    assert "a-secret" not in f"{logs} {notices.sent()}"


def test_who_dies_between_accepting_and_noting_it_sends_no_second_mail(notices: Notices) -> None:
    callback = notices.owes()
    notices.notices.run()
    notices.callbacks.change(callback.callback_id, {"owed_notice": NoticeKind.DISABLED})

    assert notices.notices.run() == 0

    assert len(notices.sent()) == 1


def test_an_endpoint_that_fails_anew_later_is_told_of_anew(notices: Notices) -> None:
    callback = notices.owes()
    notices.notices.run()
    notices.callbacks.change(callback.callback_id, {"owed_notice": NoticeKind.DISABLED, "failing_since": later(days=9)})

    assert notices.notices.run() == 1


def test_what_comes_of_test_keys_stays_in_the_sandbox(notices: Notices) -> None:
    notices.owes(account="acme:test")

    notices.notices.run()

    assert [mail.client for mail in notices.sent()] == ["wavecom:test"]


def test_without_a_contact_an_operator_reads_how_to_name_one_and_nothing_is_owed_any_more(notices: Notices) -> None:
    notices.owes(account="globex")

    with capture_logs() as logs:
        assert notices.notices.run() == 0
        assert notices.notices.run() == 0

    [entry] = logs
    assert entry["fix"] == "wavecom keys contact --client globex --email ADDRESS"


def test_where_no_mail_can_be_sent_it_is_said_once(notices: Notices) -> None:
    notices.owes()
    notices.refusal = ChannelNotServedError("email", ["sms"])

    with capture_logs() as logs:
        notices.notices.run()
        notices.notices.run()

    assert [(entry["event"], entry["reason"]) for entry in logs] == [("callback_notice_refused", "channel_not_served")]


def test_while_the_store_is_away_the_notice_stays_owed(notices: Notices) -> None:
    notices.owes()
    notices.refusal = StoreError("away")

    with pytest.raises(StoreError):
        notices.notices.run()
    notices.refusal = None

    assert notices.notices.run() == 1
