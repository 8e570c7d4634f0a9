"""The preview of a mail: shown by the browser, and able to do nothing."""

from __future__ import annotations

from tests.factories import make_job
from tests.unit.web.dashboard.environment import KEY, DashboardEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.roles import Role

HTML = '<h1>Hi</h1><script>parent.alert(1)</script><img src="https://evil.example/seen.gif">'
MAIL = make_job(
    client="acme", type=Channel.EMAIL, to={"email": "a@example.com"}, payload={"subject": "S", "html": HTML}
)
SMS = make_job(client="acme")


def test_a_mail_is_shown_in_a_frame_without_script_form_and_requests(environment: DashboardEnvironment) -> None:
    environment.put(MAIL)
    browser = environment.browser()

    page = browser.get(f"/notifications/{MAIL.job_id}/preview")
    frame = browser.get(f"/notifications/{MAIL.job_id}/preview/frame")

    assert HTML not in page.text
    assert ' sandbox src="' in page.text
    assert frame.text == HTML
    policy = dict(
        part.split(" ", 1) if " " in part else (part, "")
        for part in frame.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["sandbox"] == ""
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    assert policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    assert "script-src" not in policy
    assert frame.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert frame.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["X-Frame-Options"] == "DENY"


def test_only_who_may_read_messages_sees_it_and_a_key_its_own(environment: DashboardEnvironment) -> None:
    environment.put(MAIL)
    path = f"/notifications/{MAIL.job_id}/preview/frame"

    assert environment.browser_as(Role.VIEWER).get(path).status_code == 403
    assert environment.browser_as(Role.OPERATOR).get(path).status_code == 200
    assert environment.browser(KEY).get(path).status_code == 200


def test_what_has_no_html_has_no_preview(environment: DashboardEnvironment) -> None:
    environment.put(SMS)
    browser = environment.browser()

    for path in ("preview", "preview/frame"):
        assert browser.get(f"/notifications/{SMS.job_id}/{path}").status_code == 404


def test_a_notification_is_found_by_its_providers_name_for_it(environment: DashboardEnvironment) -> None:
    mine = make_job(client="acme", provider="sandbox", provider_message_id="SM123")
    theirs = make_job(client="globex", provider="sandbox", provider_message_id="SM456")
    environment.put(mine, theirs)

    found = environment.browser().get("/notifications?providerMessageId=SM456").text
    foreign = environment.browser(KEY).get("/notifications?providerMessageId=SM456").text
    own = environment.browser(KEY).get("/notifications?providerMessageId=SM123").text

    assert theirs.job_id in found
    assert theirs.job_id not in foreign
    assert mine.job_id in own
