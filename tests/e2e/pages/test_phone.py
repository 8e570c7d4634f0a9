"""The status pages on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.pages.window import PATHS, PHONE, BrowserWindow


@pytest.mark.parametrize("window", [{"viewport": PHONE}], indirect=True)
def test_on_a_phone_no_page_is_wider_than_the_screen(window: BrowserWindow) -> None:
    window.open("/login")
    widths = {"/login": window.page.evaluate("document.documentElement.scrollWidth")}
    page = window.log_in()

    for path in [*PATHS, "/no/such/page"]:
        window.open(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        widths[path] = page.evaluate("document.documentElement.scrollWidth")
    window.open("/send?type=push")
    page.get_by_role("button", name="Send Push").click()
    expect(page.get_by_role("alert")).to_be_visible()
    widths["with mistakes"] = page.evaluate("document.documentElement.scrollWidth")

    assert {path: width for path, width in widths.items() if width > PHONE["width"]} == {}


@pytest.mark.parametrize("window", [{"viewport": PHONE}], indirect=True)
def test_on_a_phone_a_row_of_the_list_names_its_cells(window: BrowserWindow) -> None:
    page = window.log_in()
    window.open("/notifications?status=delivered&type=sms")

    cell = page.get_by_role("cell", name="Delivered")

    expect(cell).to_be_visible()
    assert "Status" in cell.evaluate("each => getComputedStyle(each, '::before').content")


@pytest.mark.parametrize("window", [{"viewport": PHONE, "color_scheme": "dark"}], indirect=True)
def test_on_a_phone_one_gets_to_the_sessions_and_sees_which_is_this(window: BrowserWindow) -> None:
    page = window.log_in()

    page.get_by_role("link", name="Sessions").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(page.get_by_text("This one")).to_be_visible()
