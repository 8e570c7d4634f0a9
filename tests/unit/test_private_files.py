"""A secret that several processes share is made once, whole, and never taken for one where there is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wavecom.errors import SettingsError
from wavecom.private_files import shared_secret


def test_whoever_asks_first_makes_it_and_all_others_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: shared_secret(path), range(8)))

    assert len(found) == 1
    assert [each.name for each in path.parent.iterdir()] == ["secret"]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "\n", "abc", "a" * 43, "q7Vx2Lk9TzP4-Rw8", "\0" * 43, "\u00e9"])
def test_a_file_without_a_whole_secret_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        shared_secret(path)

    [problem] = caught.value.problems
    assert problem.where == str(path)
    assert "delete the file" in problem.message
    assert not text.strip() or text.strip() not in problem.message
