"""Each vendor's type has a page that names its keys and every code of its answer table; the index names the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wavecom.providers.base_http import BaseHttpProvider
from wavecom.providers.configuration.options import checks_of
from wavecom.providers.registry import CLASSES, RECEIPTS, provider_class

DOCS = Path(__file__).resolve().parents[3] / "docs"

#: What there is to know of them is in adding-a-provider.md, sandbox.md and providers.example.toml.
WITHOUT_A_PAGE = {"sandbox", "smtp"}
PAGES = sorted(set(CLASSES) - WITHOUT_A_PAGE)
#: Of every type over HTTP; the index says what they are.
COMMON = {"base_url", "ca_file"}
#: Whose pages tell everything; the keys of ``http`` stand in adding-a-provider.md.
VENDORS = sorted(set(PAGES) - {"http"})


def test_the_index_names_every_page_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .*\(providers/(\w+)\.md\)", (DOCS / "providers.md").read_text("utf-8"), re.M)

    assert all(f"`{key}`" in (DOCS / "providers.md").read_text("utf-8") for key in COMMON)
    assert rows == [(name, name) for name in PAGES]
    assert sorted(path.stem for path in (DOCS / "providers").glob("*.md")) == PAGES


@pytest.mark.parametrize("type_name", VENDORS)
def test_a_page_names_every_key_and_every_code(type_name: str) -> None:
    page = (DOCS / "providers" / f"{type_name}.md").read_text("utf-8")
    cls = provider_class(type_name)
    named = set(re.findall(r"\w+", page))

    assert set(checks_of(cls.options_class)) - COMMON - named == set()
    if issubclass(cls, BaseHttpProvider):
        assert set(cls.answers.codes) - named == set()


@pytest.mark.parametrize("type_name", VENDORS)
def test_a_page_leads_from_credentials_to_the_webhook_and_tells_answers_and_limits(type_name: str) -> None:
    page = (DOCS / "providers" / f"{type_name}.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)", page, re.MULTILINE)

    wanted = [r"Create these credentials|From an account to a message", r"What (the )?answers mean", r"Known limits"]
    assert [each for each in wanted if not any(re.fullmatch(each, heading) for heading in headings)] == []
    # Where to paste what the provider shall call.
    assert (type_name not in RECEIPTS) or "/receipts/" in page
