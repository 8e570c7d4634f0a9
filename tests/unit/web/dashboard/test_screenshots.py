"""docs/screenshots has a picture of every page, and no other; `python -m tests.screenshots` makes them."""

from __future__ import annotations

import re

from tests.screenshots import FOLDER, PICTURES, index
from wavecom.web.dashboard.routes import ROUTES

#: A part of a page, a file, an address that leads to another page, or a frame within a pictured page.
NO_PAGES = re.compile(r"/(live|stream|frame|export)?$")
#: Forms that are asked for from a pictured page, and pages like one that is.
LIKE_OTHERS = {
    "/notifications/<job_id>/reveal",
    "/notifications/<job_id>/cancel",
    "/notifications/<job_id>/retry",
    "/notifications/<job_id>/settle",
    "/notifications/<job_id>/elsewhere",
    "/operations/<operation_id>",
    "/suppressions/<suppression_id>",
    "/callbacks/<callback_id>",
    "/callbacks/<callback_id>/edit",
    "/templates/<account>/<template>",
    "/campaigns",
    "/campaigns/add",
    "/campaigns/<campaign_id>",
    "/password",
}


def test_every_page_has_a_picture() -> None:
    pictured = [address.partition("?")[0] for address, _ in PICTURES.values()]

    def is_pictured(path: str) -> bool:
        pattern = re.sub(r"<[^>]+>", "(?!add$|cancel$)[^/]+", path)
        return any(re.fullmatch(pattern, address) for address in pictured)

    pages = {route.path for route in ROUTES if route.get is not None and not NO_PAGES.search(route.path)}
    assert {path for path in pages if not is_pictured(path)} == LIKE_OTHERS


def test_the_pictures_are_there_and_stand_on_one_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.png" for name in PICTURES} | {"README.md"}
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == index()
    # Small: they are in every clone.
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000
