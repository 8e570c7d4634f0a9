from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.factories import make_job
from tests.template_environment import ORDER, no_check, sms_source
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.job import TemplateUse
from wavecom.core.roles import Role
from wavecom.core.templates.model import VersionState
from wavecom.web.dashboard.message_templates import PAGE_SIZE

PAGE = "/templates/acme/order"


@pytest.fixture
def templates(environment: DashboardEnvironment) -> DashboardEnvironment:
    """Version 1 of a template is sent, version 2 is a draft."""
    environment.templates.publish("acme", "order", ORDER)
    newer = sms_source("Newer words for {{ name }}", name={"type": "text", "example": "<b>Amina</b>"})
    environment.templates.administration.save("key k-1", "acme", "order", newer, check=no_check, note="shorter")
    return environment


def test_templates_are_listed_with_what_is_sent_and_what_is_newest(templates: DashboardEnvironment) -> None:
    page = templates.browser().get("/templates").text

    row = re.sub(r"<[^>]+>|\s+", " ", page[page.index("<tbody") :])
    assert "order" in row
    assert "Version 1" in row
    assert "Version 2" in row
    assert "Draft" in row


def test_a_draft_is_seen_beside_what_is_sent(templates: DashboardEnvironment) -> None:
    page = templates.browser().get(PAGE).text

    assert "Sent now: version 1" in page
    assert "Looked at: version 2" in page
    assert "Amina, your order of CHF 1,234.50 is on its way" in page
    assert "Newer words for &lt;b&gt;Amina&lt;/b&gt;" in page
    assert "1 (GSM-7)" in page
    assert "shorter" in page


def test_the_language_of_the_previews_is_chosen(templates: DashboardEnvironment) -> None:
    page = templates.browser().get(f"{PAGE}?version=1&locale=de").text

    assert "Ihr Auftrag über 1.234,50 CHF" in page
    assert "Looked at" not in page


def test_a_mail_stands_in_a_frame_that_can_do_nothing(templates: DashboardEnvironment) -> None:
    browser = templates.browser()
    address = f"{PAGE}/1/frame?locale=en"

    assert address in browser.get(f"{PAGE}?version=1").text
    frame = browser.get(address)

    assert frame.text.startswith("<p>2 parcels for CHF\xa01,234.50</p>")
    assert frame.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert frame.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert browser.get(f"{PAGE}/2/frame").status_code == 404


def test_a_version_is_reviewed_and_published_by_an_operator_and_noted(templates: DashboardEnvironment) -> None:
    browser = templates.browser_as(Role.OPERATOR)
    administration = templates.templates.administration

    browser.get(PAGE)
    browser.post(f"{PAGE}/change", {"action": "review", "version": "2"})
    asked = administration.get("acme", "order", 2)
    browser.get(PAGE)
    answer = browser.post(f"{PAGE}/change", {"action": "publish", "version": "2"})

    assert answer.status_code == 303
    assert asked.state is VersionState.REVIEW
    assert administration.current("acme", "order") == 2
    *_, event = templates.templates.audit.events
    assert (event.action.value, event.version) == ("publish_template", 2)
    assert event.actor == administration.get("acme", "order", 2).published_by != "key k-1"


def test_an_author_is_not_offered_to_publish_what_somebody_else_has_to_look_at(tmp_path: Path) -> None:
    environment = DashboardEnvironment(tmp_path, template_review=True)
    browser = environment.browser_as(Role.OPERATOR)
    other = environment.templates.administration
    other.save("key k-1", "acme", "order", sms_source("theirs"), check=no_check)
    theirs = browser.get(PAGE).text
    browser.post(f"{PAGE}/change", {"action": "publish", "version": "1"})
    name = str(other.get("acme", "order", 1).published_by)
    other.save(name, "acme", "order", sms_source("own"), check=no_check)

    own = browser.get(PAGE).text
    answer = browser.post(f"{PAGE}/change", {"action": "publish", "version": "2"})

    assert "Publish version 1" in theirs
    assert "Publish version" not in own
    assert "somebody else publishes it" in own
    assert answer.status_code == 303
    assert "was saved by" in browser.get(PAGE).text
    assert other.current("acme", "order") == 1


def test_a_text_message_is_shown_with_what_it_costs(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('[providers.one]\ntype = "sandbox"\nsegment_price = "0.02 to 0.05 EUR"\n[routes]\nsms = ["one"]\n')
    environment = DashboardEnvironment(tmp_path, providers_file=file)
    environment.templates.publish("acme", "order", sms_source("Hello"))

    page = environment.browser().get(PAGE).text

    assert "0.02 to 0.05 EUR" in page


def test_a_viewer_is_offered_nothing_to_change(templates: DashboardEnvironment) -> None:
    page = templates.browser_as(Role.VIEWER).get(PAGE).text

    assert "Newer words" in page
    assert "Publish version" not in page


def test_a_part_that_has_gone_is_said_when_it_is_published(templates: DashboardEnvironment) -> None:
    part = {"kind": "partial", "contents": {"en": {"text": "x"}}}
    templates.templates.publish("acme", "foot", part)
    administration = templates.templates.administration
    administration.save("key k-1", "acme", "order", sms_source("{% include 'foot' %}"), check=no_check)
    templates.templates.publish("acme", "foot", {"kind": "partial", "contents": {"en": {"text": "{{ x }}"}}})
    browser = templates.browser()

    browser.get(PAGE)
    browser.post(f"{PAGE}/change", {"action": "publish", "version": "3"})

    assert "does not fit any more" in browser.get(PAGE).text
    assert administration.current("acme", "order") == 1


def links(page: str, word: str) -> list[str]:
    """Addresses behind the links of a page that are called ``word``."""
    return [html.unescape(each) for each in re.findall(rf'href="([^"]+)"[^>]*>{word}</a>', page)]


def test_templates_are_listed_in_pages(environment: DashboardEnvironment) -> None:
    for number in range(PAGE_SIZE + 1):
        environment.templates.publish("acme", f"t-{number:03}", sms_source("x"))
    browser = environment.browser()

    first = browser.get("/templates").text
    [further] = links(first, "Further")
    second = browser.get(further).text
    beyond = browser.get("/templates?account=acme&after=z").text

    assert ("t-049" in first, "t-050" in first) == (True, False)
    assert ("t-049" in second, "t-050" in second) == (False, True)
    assert (links(second, "First"), links(second, "Further")) == (["/templates"], [])
    assert "That was all" in beyond


def test_versions_are_listed_in_pages(environment: DashboardEnvironment) -> None:
    for number in range(PAGE_SIZE + 1):
        environment.templates.publish("acme", "order", sms_source(f"text {number}"))
    browser = environment.browser()

    [older] = links(browser.get(PAGE).text, "Older")
    page = browser.get(older).text

    assert links(page, "Version 1") == [f"{PAGE}?version=1"]
    assert links(page, "Version 2") == []
    assert links(page, "Newest") == [PAGE]


def test_a_version_of_a_later_release_is_said_to_be_one(templates: DashboardEnvironment) -> None:
    templates.templates.store.unreadable.add(("acme", "order", 2))
    browser = templates.browser_as(Role.OPERATOR)

    listed, page = browser.get("/templates").text, browser.get(PAGE).text

    assert "Not readable" in listed
    assert "Version 2 of &#39;order&#39; can&#39;t be read by this release" in page
    assert "Amina, your order of CHF 1,234.50 is on its way" in page, "what is sent is seen all the same"
    assert "Publish version" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/templates/acme/none",
        "/templates/acme/order?version=9",
        "/templates/acme/order?version=x",
        "/templates/other/order",
        "/templates/acme/order/9/frame",
        "/templates/acme/order/x/frame",
    ],
)
def test_what_there_is_not_is_a_page_that_says_so(templates: DashboardEnvironment, path: str) -> None:
    assert templates.browser().get(path).status_code == 404


def test_a_wrong_action_changes_nothing(templates: DashboardEnvironment) -> None:
    browser = templates.browser()
    browser.get(PAGE)

    answer = browser.post(f"{PAGE}/change", {"action": "delete", "version": "2"})

    assert answer.status_code == 422
    assert templates.templates.administration.current("acme", "order") == 1


def test_a_notification_leads_to_the_version_that_wrote_it(templates: DashboardEnvironment) -> None:
    job = make_job(client="acme", template=TemplateUse("order", 1, "de"))
    templates.put(job)

    page = templates.browser().get(f"/notifications/{job.job_id}").text

    assert f'<a href="{PAGE}?version=1">order, version 1</a> (de)' in page
