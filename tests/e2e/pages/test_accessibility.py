"""Every page can be used by those who cannot see it, and read in light and dark."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.accessibility_rules import ALL_RULES, COLOUR_RULES, faults_of
from tests.e2e.pages.window import PATHS, BrowserWindow

#: What a page must have for those who can't see it.
STRUCTURE = """() => {
    const faults = [];
    const count = (selector, wanted) => {
        const found = document.querySelectorAll(selector).length;
        if (found !== wanted) faults.push(`${found} × ${selector}`);
    };
    count("h1", 1); count("main", 1); count("header", 1); count("footer", 1); count("html[lang]", 1);
    for (const nav of document.querySelectorAll("nav")) if (!nav.getAttribute("aria-label")) faults.push("nav");
    for (const table of document.querySelectorAll("table")) {
        if (!table.caption) faults.push("table without caption");
        if (!table.querySelector("th[scope]")) faults.push("table without headings");
    }
    for (const each of document.querySelectorAll("input:not([type=hidden]):not([hidden]), select, textarea"))
        if (!each.labels.length) faults.push(`${each.name} has no label`);
    for (const each of document.querySelectorAll("a, button"))
        if (!each.textContent.trim()) faults.push(`${each.outerHTML} has no name`);
    for (const each of document.querySelectorAll("img")) if (each.alt === null) faults.push("img without alt");
    const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
    for (const id of ids) if (ids.filter((other) => other === id).length > 1) faults.push(`#${id} twice`);
    for (const each of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
        for (const id of (each.getAttribute("aria-describedby") ?? each.getAttribute("aria-labelledby")).split(" "))
            if (!document.getElementById(id)) faults.push(`#${id} is referred to`);
    let level = 0;
    for (const each of document.querySelectorAll("h1, h2, h3, h4")) {
        const own = Number(each.tagName[1]);
        if (own > level + 1) faults.push(`${each.tagName} ${each.textContent} after H${level}`);
        level = own;
    }
    return faults;
}"""


#: Texts whose contrast to what is behind them is below WCAG 2.2 AA (1.4.3): 4.5, or 3 for large ones.
CONTRAST = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b]
        .map((each) => each / 255)
        .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
        .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (each) => {
        for (; each; each = each.parentElement) {
            const colour = parse(getComputedStyle(each).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const faults = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let looked = 0;
    while (walker.nextNode()) {
        const each = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !each.checkVisibility()) continue;
        looked += 1;
        const style = getComputedStyle(each);
        const [high, low] = [light(parse(style.color)), light(behind(each))].sort((one, two) => two - one);
        const ratio = (high + 0.05) / (low + 0.05);
        const size = parseFloat(style.fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (ratio < (isLarge ? 3 : 4.5)) faults.push(`${walker.currentNode.data.trim()} ${ratio.toFixed(2)}`);
    }
    return [looked, faults];
}"""


def test_the_api_can_be_tried_in_a_page_of_our_own(window: BrowserWindow) -> None:
    page = window.open("/docs")

    # Whatever it loads from elsewhere, or its own security policy refuses, the window notes.
    expect(page.locator("#operations-notifications-sendNotification")).to_be_visible()
    page.locator("#operations-notifications-sendNotification .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("401")
    expect(page.locator(".live-responses-table")).to_contain_text("There is no API key.")
    expect(page.locator(".errors-wrapper")).to_have_count(0)


class Faults:
    """What is wrong with the pages that were looked at, by page and kind."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.found: dict[str, list[str]] = {}

    def note(self, name: str) -> None:
        """Look at the page that the window shows now; ``name`` is for whoever reads what was found."""
        is_dark = self._page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
        looked, contrast = self._page.evaluate(CONTRAST)
        # But for its colours a page is the same in the dark.
        kinds = {"contrast": contrast, "rules": faults_of(self._page, COLOUR_RULES if is_dark else ALL_RULES)}
        if not is_dark:
            kinds["structure"] = self._page.evaluate(STRUCTURE)
        assert looked > 10 or name.startswith("/login"), name
        self.found |= {f"{name}: {kind}": faults for kind, faults in kinds.items() if faults}


# In one go: what costs most is to have each page shown.
@pytest.mark.parametrize("window", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_every_page_can_be_read_in_light_and_dark_is_built_for_everybody_and_breaks_no_rule_of_wcag(
    window: BrowserWindow,
) -> None:
    faults = Faults(window.page)
    for path in ("/login", "/login?with=user"):
        window.open(path)
        faults.note(path)
    page = window.log_in()

    for path in [*PATHS, "/no/such/page"]:
        window.open(path)
        faults.note(path)
    for form, button in (("sms", "Send SMS"), ("email", "Send E-mail")):
        window.open(f"/send?type={form}")
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("alert")).to_be_visible()
        faults.note(f"{form} with mistakes")

    assert faults.found == {}
