"""The OpenAPI document: it says what the application does, and all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest

from tests.corpus.bodies import good_notifications
from tests.factories import make_job
from tests.openapi import COPY, as_text, served_document
from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.core.job import JobError, LogEntry
from wavecom.core.vocabulary import JobErrorCode, LogEvent
from wavecom.web.api import representation
from wavecom.web.api.field_errors import FieldErrorCode
from wavecom.web.problems import documented

DOCUMENT = served_document()
TYPED_FORMATS = {"date-time", "date", "uuid"}
METHODS = {"get", "put", "post", "delete", "patch"}

Case = tuple[str, str, dict[str, Any]]


def _operations() -> Iterator[Case]:
    for path, item in DOCUMENT["paths"].items():
        for method in item.keys() & METHODS:
            yield method.upper(), path, item[method]


OPERATIONS = sorted(_operations(), key=lambda case: case[:2])
GUARDED = [operation for _, path, operation in OPERATIONS if path.startswith("/api/")]
IDS = [f"{method} {path}" for method, path, _ in OPERATIONS]


def _faults(schema: Any, value: Any) -> list[str]:
    """What of ``value`` does not fit ``schema``, a part of the document."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **DOCUMENT, "allOf": [schema]}
    return [str(error) for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_the_copy_among_the_documents_is_what_is_served() -> None:
    assert COPY.read_text(encoding="utf-8") == as_text(DOCUMENT), "write it anew: python -m tests.openapi"


def test_it_is_openapi_3_1_for_this_host() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["servers"] == [{"url": "/"}]
    assert "http" not in orjson.dumps(DOCUMENT["info"]).decode()


def test_every_address_of_the_api_is_in_it(environment: WebEnvironment) -> None:
    rules = {
        (method, re.sub("<(?:[a-z]+:)?([a-z_]+)>", "{}", str(rule)))
        for rule in environment.app.url_map.iter_rules()
        if str(rule).startswith(("/api/", "/healthz", "/readyz"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    described = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path, _ in OPERATIONS}

    assert described == rules - {("GET", "/api/openapi.json")}


def test_every_operation_has_a_name_of_its_own() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+[A-Za-z]+", each) for each in ids)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_an_operation_is_explained_with_examples_that_fit(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    parts = set(re.findall(r"\{(\w+)\}", path))
    assert {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"} == parts
    if method in {"POST", "PUT", "PATCH"} and "requestBody" in operation:
        [content] = operation["requestBody"]["content"].values()
        assert _faults(content["schema"], content["example"]) == []
    for parameter in operation.get("parameters", ()):
        if "example" in parameter and parameter["schema"].get("type") != "array":
            assert _faults(parameter["schema"], parameter["example"]) == [], parameter["name"]
    assert {status[0] for status in operation["responses"]} >= {"2", "5"}
    for status, response in operation["responses"].items():
        assert response["description"]
        for media in response.get("content", {}).values():
            examples = [media["example"]] if "example" in media else [_example(each) for each in media["examples"]]
            assert examples, status
            for example in examples:
                assert _faults(media["schema"], example) == [], status


def _example(name: str) -> Any:
    return DOCUMENT["components"]["examples"][name]["value"]


@pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation["operationId"])
def test_a_call_of_the_api_needs_a_key_and_says_so(operation: dict[str, Any]) -> None:
    [[(scheme, scopes)]] = [list(each.items()) for each in operation["security"]]

    assert DOCUMENT["components"]["securitySchemes"][scheme] == {"type": "http", "scheme": "bearer"}
    assert f"`{scopes[0]}`" in operation["description"]
    assert {"401", "403", "500", "503"} <= operation["responses"].keys()
    if "requestBody" in operation:
        # Only JSON can be malformed as a whole.
        is_json = "application/json" in operation["requestBody"]["content"]
        assert {"413", "415", "422"} | ({"400"} if is_json else set()) <= operation["responses"].keys()


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_what_is_refused_for_its_host_is_declared(
    method: str, path: str, operation: dict[str, Any], environment: WebEnvironment
) -> None:
    answer = environment.client().open(path, method=method.upper(), headers={"Host": "elsewhere.example"})

    declared = {int(status) for status in operation["responses"]}
    assert answer.status_code in declared
    assert (answer.status_code == 421) == (path.startswith("/api/"))
    if answer.status_code >= 400:
        assert answer.json["code"] in {"unknown_host"}


def test_every_error_code_has_an_example_that_is_a_problem_of_its_status() -> None:
    examples = DOCUMENT["components"]["examples"]

    assert examples.keys() == documented().keys()
    for code, entry in documented().items():
        assert _faults(_named("Problem"), examples[code]["value"]) == []
        assert (examples[code]["value"]["code"], examples[code]["value"]["status"]) == (code, entry.status)
        assert len(examples[code]["value"]["detail"]) > 15


def test_every_part_that_is_referred_to_is_there_and_none_is_idle() -> None:
    text = orjson.dumps(DOCUMENT).decode()
    references = set(re.findall(r'"#/components/(\w+)/([\w.-]+)"', text))
    parts = {(kind, name) for kind, named in DOCUMENT["components"].items() for name in named}

    # Examples are there for every code; those of errors that no operation has are the ones of other addresses.
    idle = {(kind, name) for kind, name in parts - references if kind not in {"securitySchemes", "examples"}}

    assert references <= parts
    assert idle == set()


@pytest.mark.parametrize("entry", good_notifications(), ids=lambda entry: entry["name"])
def test_what_is_taken_fits_the_schema_of_what_is_taken(entry: dict[str, Any]) -> None:
    assert _faults(_named("NotificationRequest"), entry["body"]) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "fax", "to": {}, "payload": {}},
        {"type": "sms", "to": {"phone": "07700 900123"}, "payload": {"text": "Hello"}},
        {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": " "}},
        {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}, "maxattempts": 3},
        {"type": "email", "to": {"email": "amina@example.com"}, "payload": {"subject": "Hello"}},
        {"type": "push", "to": {"platform": "webpush", "token": "a"}, "payload": {"title": "Hello"}},
        {"type": "push", "to": {"platform": "fcm", "token": "a"}, "payload": {"data": {}}},
    ],
)
def test_what_is_refused_for_its_shape_does_not_fit_the_schema(
    body: dict[str, Any], environment: WebEnvironment
) -> None:
    assert _faults(_named("NotificationRequest"), body)
    assert environment.client().post("/api/notifications", json=body).status_code == 422


def _schemas(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for name, each in value.items():
            yield from _schemas(each, f"{path}/{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _schemas(each, f"{path}/{number}")


def test_no_time_and_no_id_has_a_pattern_beside_its_format() -> None:
    # Generated clients make a time of the text first, and then match that against the pattern.
    both = [path for path, each in _schemas(DOCUMENT) if "pattern" in each and each.get("format") in TYPED_FORMATS]

    assert both == []


def test_no_object_has_variants_beside_its_fields() -> None:
    # Generators of clients make of these a union of types without the fields.
    schemas = _schemas(DOCUMENT["components"]["schemas"])
    mixed = [path for path, each in schemas if "properties" in each and each.keys() & {"anyOf", "oneOf", "allOf"}]

    assert mixed == []


def test_no_component_has_the_name_of_another_ones_constructor() -> None:
    # In generated Go, NewKey makes a Key.
    names = DOCUMENT["components"]["schemas"].keys()

    assert [name for name in names if f"New{name}" in names] == []


def test_every_pattern_begins_at_the_beginning() -> None:
    # Some readers of patterns match from there and look nowhere else.
    loose = [each["pattern"] for _, each in _schemas(DOCUMENT) if isinstance(each.get("pattern"), str)]

    assert [pattern for pattern in loose if not pattern.startswith("^")] == []


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_every_declared_error_has_a_body(method: str, path: str, operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if status >= "400" and not path.startswith("/readyz"):
            assert response["content"].keys() == {"application/problem+json"}, status


def test_words_that_programs_branch_on_are_listed() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["LogEntry"]["properties"]["event"]["enum"] == list(LogEvent)
    assert schemas["JobError"]["properties"]["code"]["enum"] == list(JobErrorCode)
    assert schemas["Problem"]["properties"]["code"]["enum"] == list(documented())
    assert schemas["FieldError"]["properties"]["code"]["enum"] == list(FieldErrorCode)


@pytest.mark.parametrize("kind", ["Email", "Sms", "Push"])
def test_a_payload_is_answered_with_the_fields_that_can_be_sent(kind: str) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    # In its place the mail is answered with the headers that it asked for.
    sent = schemas[f"{kind}Payload"]["properties"].keys() - {"unsubscribe"}

    assert schemas[f"{kind}Content"]["properties"].keys() == sent


@pytest.mark.parametrize("entry", good_notifications(), ids=lambda entry: entry["name"])
def test_what_is_taken_is_answered_as_the_document_says(entry: dict[str, Any]) -> None:
    environment = make_environment()

    job_id = environment.client().post("/api/notifications", json=entry["body"]).json["jobId"]

    assert _faults(_named("Notification"), environment.client().get(f"/api/notifications/{job_id}").json) == []


def test_what_is_answered_fits_the_schema_of_answers(environment: WebEnvironment) -> None:
    error = JobError("rejected", "No such subscriber.", "sandbox")
    entry = LogEntry(make_job().created_at, "rejected", 1, "sandbox", "rejected", "http_400", "no", 1.5)
    environment.jobs.insert([make_job(client="default", error=error, logs=(entry,)), make_job(client="default")])

    receipt = LogEntry(make_job().created_at, "receipt", provider="sandbox", outcome="failed", code="bounced")
    for job in (make_job(error=error, logs=(entry, receipt)), make_job()):
        assert _faults(_named("Notification"), representation.detail(job)) == []
    assert _faults(_named("NotificationPage"), environment.client().get("/api/notifications?limit=1").json) == []


def test_it_is_built_once_and_the_same_for_everybody() -> None:
    environment = make_environment()

    first, second = (environment.client(None).get("/api/openapi.json") for _ in range(2))

    assert first.data == second.data
    assert first.mimetype == "application/json"


def test_the_page_to_try_it_refers_to_no_other_host(environment: WebEnvironment) -> None:
    client = environment.client(None)

    page = client.get("/docs")
    start = client.get("/docs/assets/start.js")

    assert "//" not in page.text
    assert "validatorUrl: null" in start.text
    assert "//" not in start.text
    for asset in re.findall(r'(?:href|src)="([^"]+)"', page.text):
        assert client.get(f"/{asset}").status_code == 200
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
