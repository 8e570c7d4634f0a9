from __future__ import annotations

from typing import Any

import pytest

from tests.template_environment import ORDER
from wavecom.core.templates.folder import file_of, files_of, source_of

MAIL = {"subject": "Hello", "html": "<p>\n</p>\n", "text": "", "layout": "base", "replyTo": "a@example.com"}
WITH_ALL: dict[str, Any] = ORDER | {
    "contents": {
        "en": {"email": MAIL, "push": {"title": "a", "body": "b\n\n", "data": {"id": "{{ count }}"}}},
        "de-CH": {"sms": {"text": "x", "senderId": "SHOP"}},
    }
}
PART: dict[str, Any] = {
    "kind": "partial",
    "defaultLocale": "en",
    "variables": {},
    "contents": {"en": {"html": "<i>x</i>", "text": "x\n"}},
}


@pytest.mark.parametrize("source", [ORDER, WITH_ALL, PART])
def test_a_source_is_the_same_after_it_was_files(source: dict[str, Any]) -> None:
    assert source_of(files_of(source)) == (source, [])


def test_each_text_has_a_file_of_its_own() -> None:
    files = files_of(WITH_ALL)

    assert sorted(files) == [
        "de-CH/sms.json",
        "de-CH/sms.txt",
        "en/email.html",
        "en/email.json",
        "en/email.subject.txt",
        "en/email.txt",
        "en/push.json",
        "en/push.title.txt",
        "en/push.txt",
        "template.json",
    ]
    assert files["en/email.subject.txt"] == "Hello\n"


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"en/sms.txt": "x"}, "template.json"),
        ({"template.json": "{", "en/sms.txt": "x"}, "template.json"),
        ({"template.json": "[]", "en/sms.txt": "x"}, "template.json"),
        ({"template.json": "{}", "en/fax.txt": "x"}, "en/fax.txt"),
        ({"template.json": "{}", "en/sms.html": "x"}, "en/sms.html"),
        ({"template.json": "{}", "en/part.html": "x"}, "en/part.html"),
        ({"template.json": '{"kind": "layout"}', "en/sms.txt": "x"}, "en/sms.txt"),
        ({"template.json": "{}", "notes/english/sms.txt": "x"}, "notes/english/sms.txt"),
        ({"template.json": "{}", "en/push.json": "1"}, "en/push.json"),
    ],
)
def test_a_file_that_is_wrong_is_named(files: dict[str, str], path: str) -> None:
    assert [each.where for each in source_of(files)[1]] == [path]


@pytest.mark.parametrize(
    ("pointer", "path"),
    [
        ("/variables/name", "template.json"),
        ("/contents", "template.json"),
        ("/contents/en/email/html", "en/email.html"),
        ("/contents/en/email/subject", "en/email.subject.txt"),
        ("/contents/en/email/replyTo", "en/email.json"),
        ("/contents/de-CH/sms/text", "de-CH/sms.txt"),
        ("/contents/en/html", "en/part.json"),
    ],
)
def test_a_problem_is_found_in_its_file(pointer: str, path: str) -> None:
    assert file_of(pointer, files_of(WITH_ALL)) == path
