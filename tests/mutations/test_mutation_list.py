"""The list of planted mistakes keeps step with the code; making them is ``python -m tests.mutations``."""

from __future__ import annotations

import pytest

from tests.mutations.__main__ import ROOT, Mutation, read_mutations

MUTATIONS = read_mutations()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_can_still_be_made_where_the_list_says(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text(encoding="utf-8")

    assert text.count(mutation.old) == 1
    assert mutation.new != mutation.old


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_tests_that_must_notice_it_exist(mutation: Mutation) -> None:
    files = [ROOT / test.split("::")[0] for test in mutation.tests]

    assert files
    assert all(file.exists() for file in files)


def test_no_two_mistakes_share_a_name() -> None:
    names = [mutation.name for mutation in MUTATIONS]

    assert len(set(names)) == len(names)
