"""The error taxonomy: its tree, its codes, and an HTTP answer for each."""

from __future__ import annotations

import inspect
import re

from wavecom import errors
from wavecom.errors import WaveComError
from wavecom.web.problems import PROBLEMS

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, WaveComError)]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^    ((?:│   |    )*)[├└]── (\w+)", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            parents[found[2]] = path[depth - 1] if depth else "WaveComError"

    assert parents == {each.__name__: each.__base__.__name__ for each in CLASSES if each is not WaveComError}


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [each.code for each in CLASSES]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes)


def test_every_error_has_its_http_answer() -> None:
    assert set(PROBLEMS) == set(CLASSES)


def test_what_a_client_can_mend_is_4xx_and_what_we_must_is_5xx() -> None:
    for each, entry in PROBLEMS.items():
        is_theirs = issubclass(each, errors.RefusedError | errors.ConflictError)

        assert (400 <= entry.status < 500) == is_theirs, each
        # An error of ours may name hosts, so its own text must not be the answer.
        assert is_theirs or entry.detail is not None, each
        assert not issubclass(each, errors.UnavailableError) or entry.status == 503


def test_every_error_is_explained() -> None:
    assert all(each.__doc__ and len(each.__doc__) > 20 for each in CLASSES)
