"""axe-core (https://github.com/dequelabs/axe-core, MPL 2.0): what it finds wrong with a page that a browser shows."""

from __future__ import annotations

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.npm_files import NpmFiles

AXE = NpmFiles(
    "accessibility-rules",
    "axe-core@4.10.3",
    "Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==",
    {"axe.min.js": "axe.min.js"},
)
#: WCAG 2.2 A and AA, and good practice.
ALL_RULES: dict[str, Any] = {
    "type": "tag",
    "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
#: Those of ``ALL_RULES`` that colours can break.
COLOUR_RULES: dict[str, Any] = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
_RUN = """async (rules) => {
    const found = await axe.run(document, { runOnly: rules });
    return {
        passed: found.passes.length,
        faults: found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)}`)),
    };
}"""


@cache
def _source() -> str:
    return AXE.read("axe.min.js")


def faults_of(page: Page, rules: dict[str, Any] = ALL_RULES) -> list[str]:
    """What breaks ``rules``: rule and element, in a line each.

    Raises ``OSError`` where ``make test`` has not brought axe-core yet.
    """
    # By the debugging protocol: the page's own policy lets in no script but ours.
    page.evaluate(f"() => {{ {_source()} }}")
    found = page.evaluate(_RUN, rules)
    assert found["passed"] > (10 if rules is ALL_RULES else 0)
    faults: list[str] = found["faults"]
    return faults
