"""axe-core (https://github.com/dequelabs/axe-core, MPL 2.0): what it finds wrong with a page that a browser shows."""

from __future__ import annotations

from functools import cache

from playwright.sync_api import Page

from tests.npm_files import NpmFiles

AXE = NpmFiles(
    "accessibility-rules",
    "axe-core@4.10.3",
    "Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==",
    {"axe.min.js": "axe.min.js"},
)
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """async (tags) => {
    const found = await axe.run(document, { runOnly: tags });
    return {
        passed: found.passes.length,
        faults: found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)}`)),
    };
}"""


@cache
def _source() -> str:
    return AXE.read("axe.min.js")


def faults_of(page: Page) -> list[str]:
    """What breaks WCAG 2.2 A and AA or good practice: rule and element, in a line each.

    Raises ``OSError`` where ``make test`` has not brought axe-core yet.
    """
    # By the debugging protocol: the page's own policy lets in no script but ours.
    page.evaluate(f"() => {{ {_source()} }}")
    found = page.evaluate(_RUN, _TAGS)
    assert found["passed"] > 10
    faults: list[str] = found["faults"]
    return faults
