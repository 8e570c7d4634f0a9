"""Every body of the corpus of bad ones: the status, every error by place and sentence, nothing stored or published."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.corpus.bodies import bad_notifications
from tests.unit.web.conftest import WebEnvironment
from wavecom.core.ports import JobFilter

CORPUS = bad_notifications()


def _post(api: FlaskClient, entry: dict[str, Any]) -> Any:
    raw = entry["raw"].encode(entry.get("encoding", "utf-8")) if "raw" in entry else json.dumps(entry["body"]).encode()
    # Header values travel as bytes; WSGI shows them as Latin-1.
    headers = {name: value.encode().decode("latin-1") for name, value in entry.get("headers", {}).items()}
    content_type = entry.get("contentType", "application/json")
    return api.post("/api/notifications", data=raw, content_type=content_type, headers=headers)


@pytest.mark.parametrize("entry", CORPUS, ids=[entry["name"] for entry in CORPUS])
def test_a_bad_body_is_refused_with_every_error_and_leaves_nothing(
    entry: dict[str, Any], shared_environment: WebEnvironment
) -> None:
    answer = _post(shared_environment.client(), entry)

    problem = answer.json
    assert (answer.status_code, problem["code"]) == (entry["status"], entry["code"])
    assert answer.mimetype == "application/problem+json"
    found = problem.get("errors", [])
    expected = entry.get("errors", [])
    assert len(found) == len(expected), found
    for actual, wanted in zip(found, expected, strict=True):
        if "begins" in wanted:
            # The rest is a library's own sentence.
            assert actual["message"].startswith(wanted["begins"])
            assert len(actual["message"]) > len(wanted["begins"]) + 10
        assert actual == {name: text for name, text in wanted.items() if name != "begins"} | {
            "message": wanted.get("message", actual["message"])
        }
    assert shared_environment.jobs.search(JobFilter(), 1).jobs == ()
    assert shared_environment.publisher.delivery_messages == []


def test_the_corpus_is_large_and_its_names_are_distinct() -> None:
    names = {entry["name"] for entry in CORPUS}

    assert len(names) == len(CORPUS) >= 70


def test_no_more_than_a_hundred_errors_are_named(api: FlaskClient) -> None:
    body = {f"unknown{number}": 1 for number in range(1000)}

    answer = api.post("/api/notifications", json=body)

    assert len(answer.json["errors"]) == 100


def test_a_name_of_megabytes_is_cut_short_in_the_answer(api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json={"x" * 1_000_000: 1})

    assert answer.status_code == 422
    assert len(answer.data) < 2000


def test_bson_types_in_json_are_only_unknown_fields(api: FlaskClient) -> None:
    sneaky = {"type": "sms", "to": {"$oid": "0" * 24}, "payload": {"text": {"$date": 0}}}

    answer = api.post("/api/notifications", json=sneaky)

    assert [error["pointer"] for error in answer.json["errors"]] == ["/to/phone", "/to/$oid", "/payload/text"]
