"""The page on which a recipient chooses what comes, and the links that lead there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.errors import StoreError
from wavecom.settings import Settings

MAIL: dict[str, Any] = {
    "type": "email",
    "to": {"recipient": "user-42"},
    "payload": {"subject": "News", "text": "Spring is here.", "unsubscribe": True},
}


@pytest.fixture
def public() -> WebEnvironment:
    environment = make_environment(
        Settings(
            secret_key="a secret for tests only",
            public_url="https://notify.example",
            unsubscribe_keys=("another secret for tests",),
        )
    )
    api = environment.client()
    api.put("/api/recipients/user-42", json={"email": "amina@example.com", "phone": "+447700900123"})
    api.put("/api/categories/news", json={"title": "News & offers", "description": "Once a <week>."})
    api.put("/api/categories/events", json={"title": "Events", "default": "opt_in", "channels": ["email", "push"]})
    api.put("/api/categories/legal", json={"title": "Contract", "isRequired": True})
    api.put("/api/preference-page", json={"name": "Harbour Bank", "color": "#0f4c81", "logoText": "HARBOUR"})
    return environment


def _path(environment: WebEnvironment) -> str:
    url: str = environment.client().get("/api/recipients/user-42").json["preferencesUrl"]
    assert url.startswith("https://notify.example/preferences/")
    return url.removeprefix("https://notify.example")


def _of_mail(environment: WebEnvironment, **changes: Any) -> str:
    answer = environment.client().post("/api/notifications", json=MAIL | changes)
    assert answer.status_code == 202, answer.json
    job = environment.jobs.get(answer.json["jobId"])
    assert job is not None
    assert job.payload["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link: str = job.payload["headers"]["List-Unsubscribe"]
    return link.removeprefix("<https://notify.example").removesuffix(">")


def _stranger(environment: WebEnvironment) -> FlaskClient:
    return environment.app.test_client(use_cookies=False)


def _checked(answer: TestResponse) -> dict[str, bool]:
    boxes = re.findall(r'<input type="checkbox" name="wanted" value="([^"]+)"( checked)?>', answer.text)
    return {value: bool(checked) for value, checked in boxes}


def _chosen(environment: WebEnvironment) -> tuple[Any, bool]:
    recipient = environment.client().get("/api/recipients/user-42").json
    return recipient["preferences"], recipient["isStopped"]


def test_the_page_shows_what_comes_in_the_clients_own_look(public: WebEnvironment) -> None:
    answer = _stranger(public).get(_path(public))

    assert answer.status_code == 200
    assert _checked(answer) == {"news:email": True, "news:sms": True, "events:email": False}
    assert "Messages from Harbour Bank" in answer.text
    assert "#0f4c81" in answer.text
    assert "News &amp; offers" in answer.text
    assert "Once a &lt;week&gt;." in answer.text
    assert "can't be switched off" in answer.text
    # To look at it changes nothing.
    assert _chosen(public) == ({}, False)
    for secret in ("amina", "7700", "user-42"):
        assert secret not in answer.text


def test_the_page_needs_no_script_no_cookie_and_no_other_host(public: WebEnvironment) -> None:
    answer = _stranger(public).get(_path(public))

    assert "<script" not in answer.text
    assert not re.findall(r'(?:src|href|action)="', answer.text)
    assert "Set-Cookie" not in answer.headers
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert 'name="viewport"' in answer.text
    # Each box has its label around it, each group its legend.
    assert answer.text.count("<label><input") == 3
    assert answer.text.count("<legend>") == answer.text.count("<fieldset>") == 3


def test_what_was_chosen_is_saved_and_holds(public: WebEnvironment) -> None:
    form = {
        "action": "save",
        "shown": ["news:email", "news:sms", "events:email"],
        "wanted": ["news:sms", "events:email"],
    }

    answer = _stranger(public).post(_path(public), data=form)

    assert answer.status_code == 200
    assert 'role="status"' in answer.text
    assert _checked(answer) == {"news:email": False, "news:sms": True, "events:email": True}
    assert _chosen(public) == ({"news": {"email": False, "sms": True}, "events": {"email": True}}, False)


def test_what_can_not_be_chosen_is_not_saved(public: WebEnvironment) -> None:
    names = ["legal:email", "events:sms", "nothing:email", "news:fax", "", "news:email"]

    assert _stranger(public).post(_path(public), data={"action": "save", "shown": names}).status_code == 200

    assert _chosen(public) == ({"news": {"email": False}}, False)


def test_one_click_stops_all_that_can_be_stopped(public: WebEnvironment) -> None:
    public.client().patch("/api/recipients/user-42", json={"preferences": {"events": {"email": True}}})

    answer = _stranger(public).post(_path(public), data={"action": "stop"})

    assert answer.status_code == 200
    assert set(_checked(answer).values()) == {False}
    assert _chosen(public) == ({}, True)
    # What is chosen afterwards comes.
    _stranger(public).post(_path(public), data={"action": "save", "shown": "news:sms", "wanted": "news:sms"})
    assert _checked(_stranger(public).get(_path(public)))["news:sms"]


ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def test_the_one_click_of_a_mail_reader_ends_what_the_mail_was_about(public: WebEnvironment) -> None:
    path = _of_mail(public, category="news")

    assert _stranger(public).post(path, data=ONE_CLICK).status_code == 200

    assert _chosen(public) == ({"news": {"email": False}}, False)


@pytest.mark.parametrize(
    "options",
    [
        {"data": b""},
        {"data": {"List-Unsubscribe": "Two-Clicks"}},
        {"data": {"action": "delete"}},
        {"data": b"\xff\x00", "content_type": "application/octet-stream"},
    ],
)
def test_what_is_no_click_of_anybody_changes_nothing(public: WebEnvironment, options: dict[str, Any]) -> None:
    for path in (_path(public), _of_mail(public), _of_mail(public, category="news")):
        answer = _stranger(public).post(path, **options)
        assert "Nothing was changed" in answer.text

    assert _chosen(public) == ({}, False)


def test_without_a_category_it_ends_everything_and_no_later_choice(public: WebEnvironment) -> None:
    path = _of_mail(public)

    assert _stranger(public).post(path, data=ONE_CLICK).status_code == 200
    assert _chosen(public) == ({}, True)
    _stranger(public).post(path, data={"action": "save", "shown": "news:sms", "wanted": "news:sms"})

    # The same click again, which some mail readers make twice.
    assert _stranger(public).post(path, data=ONE_CLICK).status_code == 200
    assert _chosen(public) == ({"news": {"sms": True}}, True)


def test_one_click_on_what_can_not_be_stopped_says_so(public: WebEnvironment) -> None:
    answer = _stranger(public).post(_of_mail(public, category="legal"), data=ONE_CLICK)

    assert "can't be stopped" in answer.text.partition("<form")[0].replace("&#39;", "'")
    assert _chosen(public) == ({}, False)


def test_a_stop_by_accident_can_be_taken_back_and_takes_back_no_refusal(public: WebEnvironment) -> None:
    path = _path(public)
    _stranger(public).post(path, data={"action": "save", "shown": ["news:email", "news:sms"], "wanted": "news:sms"})
    assert "Take that back" not in _stranger(public).get(path).text

    stopped = _stranger(public).post(path, data={"action": "stop"})
    assert "Take that back" in stopped.text
    resumed = _stranger(public).post(path, data={"action": "resume"})

    assert _checked(resumed) == {"news:email": False, "news:sms": True, "events:email": False}
    assert _chosen(public) == ({"news": {"email": False}}, False)


def test_everything_can_be_stopped_where_there_is_nothing_to_choose(public: WebEnvironment) -> None:
    for name in ("news", "events", "legal"):
        public.client().delete(f"/api/categories/{name}")

    assert 'value="stop"' in _stranger(public).get(_path(public)).text
    assert _stranger(public).post(_path(public), data={"action": "stop"}).status_code == 200
    assert _chosen(public) == ({}, True)


def test_who_was_deleted_can_refuse_for_the_day_he_is_registered_again(public: WebEnvironment) -> None:
    api, general, of_news = public.client(), _of_mail(public), _of_mail(public, category="news")
    api.delete("/api/recipients/user-42")
    assert _stranger(public).post(general, data={}).status_code == 200
    assert api.put("/api/recipients/user-42", json={}).json["isStopped"] is False
    api.delete("/api/recipients/user-42")

    assert _stranger(public).post(of_news, data=ONE_CLICK).status_code == 200
    assert _stranger(public).post(general, data=ONE_CLICK).status_code == 200

    assert _stranger(public).get(general).status_code == 404
    assert api.get("/api/recipients/user-42").status_code == 404
    assert api.put("/api/recipients/user-42", json={"email": "amina@example.com"}).status_code == 201
    assert _chosen(public) == ({"news": {"email": False}}, True)


def test_while_the_store_is_away_it_is_to_be_tried_again(public: WebEnvironment) -> None:
    path = _path(public)

    def away(*_: Any) -> Any:
        raise StoreError("down")

    public.recipients.store.find_each = away  # type: ignore[method-assign]

    for answer in (_stranger(public).get(path), _stranger(public).post(path, data={"action": "stop"})):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "try again" in answer.text


def test_a_link_that_was_changed_or_is_of_nobody_leads_nowhere(public: WebEnvironment) -> None:
    path = _path(public)
    unsubscribe = _of_mail(public, to={"email": "bela@example.com"})
    as_page = unsubscribe.replace("/unsubscribe/", "/preferences/")
    as_unsubscribe = path.replace("/preferences/", "/unsubscribe/")
    changed = path[:-2] + ("AA" if path[-2:] != "AA" else "BB")

    for wrong in (changed, "/preferences/x", as_page, as_unsubscribe):
        assert _stranger(public).get(wrong).status_code == 404
        assert _stranger(public).post(wrong, data={"action": "stop"}).status_code == 404
    public.client().delete("/api/recipients/user-42")
    assert _stranger(public).get(path).status_code == 404
    assert _stranger(public).post(path, data={"action": "save"}).status_code == 404


def test_a_body_of_megabytes_is_not_read(public: WebEnvironment) -> None:
    answer = _stranger(public).post(_path(public), data={"action": "save", "shown": "x" * 70_000})

    assert answer.status_code == 413
    assert _chosen(public) == ({}, False)


def test_there_is_no_page_without_a_public_address(environment: WebEnvironment) -> None:
    assert environment.client(None).get("/preferences/x").status_code == 404
