"""Files that are uploaded once and named in many notifications."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.conftest import NOW, WebEnvironment, later, make_environment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.attachments import keep_until
from wavecom.core.engine import Policy
from wavecom.core.keys import KeyRecord
from wavecom.settings import Settings

PDF = b"%PDF-1.7 the terms"


def upload(api: FlaskClient, data: bytes = PDF, query: str = "filename=terms.pdf", **headers: str) -> TestResponse:
    return api.post(f"/api/files?{query}", data=data, headers={"Content-Type": "application/pdf"} | headers)


def mail(*attachments: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    payload = {"subject": "Terms", "text": "They are attached.", "attachments": list(attachments)}
    return {"type": "email", "to": {"email": "amina@example.com"}, "payload": payload} | changes


def send(api: FlaskClient, *attachments: Mapping[str, Any], key: str | None = None, **changes: Any) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post("/api/notifications", json=mail(*attachments, **changes), headers=headers)


def test_an_uploaded_file_is_described_found_listed_and_deleted(api: FlaskClient) -> None:
    answer = upload(api)

    file = answer.json
    assert answer.status_code == 201
    assert (file["filename"], file["contentType"], file["size"]) == ("terms.pdf", "application/pdf", len(PDF))
    assert file["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert api.get(answer.headers["Location"]).json == file
    assert api.get("/api/files").json == {"items": [file]}

    assert api.delete(f"/api/files/{file['fileId'].upper()}").status_code == 204
    assert api.get(answer.headers["Location"]).json["code"] == "file_not_found"
    assert api.delete(answer.headers["Location"]).status_code == 404
    assert api.get("/api/files/none").status_code == 404


def test_the_same_bytes_are_the_same_file_with_the_new_name_kept_longer(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    first = upload(api, query="filename=terms.pdf&ttlSeconds=3600").json
    again = upload(api, query="filename=conditions.pdf&ttlSeconds=7200").json
    shorter = upload(api, query="filename=conditions.pdf&ttlSeconds=60").json

    assert {first["fileId"], again["fileId"], shorter["fileId"]} == {first["fileId"]}
    assert (again["filename"], again["createdAt"]) == ("conditions.pdf", first["createdAt"])
    assert first["expiresAt"] < again["expiresAt"] == shorter["expiresAt"]
    assert len(environment.blobs.names) == 1


def test_many_notifications_name_one_file_and_get_its_bytes(api: FlaskClient, environment: WebEnvironment) -> None:
    file_id = upload(api).json["fileId"]

    one = send(api, {"fileId": file_id})
    batch = api.post(
        "/api/notifications/batch",
        json={"notifications": [mail({"fileId": file_id, "filename": "yours.pdf"}), mail({"fileId": file_id})]},
    )

    ids = [one.json["jobId"], *(each["notification"]["jobId"] for each in batch.json["results"])]
    attached = [environment.jobs.get(job_id).payload["attachments"] for job_id in ids]  # type: ignore[union-attr]
    [name] = environment.blobs.names
    kept = {"contentType": "application/pdf", "blob": name, "size": len(PDF)}
    assert attached == [
        [{"filename": "terms.pdf", **kept}],
        [{"filename": "yours.pdf", **kept}],
        [{"filename": "terms.pdf", **kept}],
    ]
    shown = api.get(f"/api/notifications/{ids[0]}").json["payload"]["attachments"]
    assert shown == [{"filename": "terms.pdf", "contentType": "application/pdf", "size": len(PDF)}]


def test_a_file_stands_beside_one_that_comes_along_and_in_the_html(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    file_id = upload(api, b"\x89PNG", "filename=logo.png", **{"Content-Type": "image/png"}).json["fileId"]
    own = {"filename": "a.txt", "contentType": "text/plain", "content": "aGVsbG8="}
    body = mail({"fileId": file_id, "contentId": "logo"}, own)
    body["payload"]["html"] = '<img src="cid:logo" alt="">'

    job_id = api.post("/api/notifications", json=body).json["jobId"]

    job = environment.jobs.get(job_id)
    assert job is not None
    [logo, text] = job.payload["attachments"]
    assert (logo["contentId"], logo["contentType"], text) == ("logo", "image/png", own)


def test_bytes_outlast_every_notification_that_names_them_whatever_becomes_of_the_file(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    file_id = upload(api, query="filename=terms.pdf&ttlSeconds=60").json["fileId"]
    send_at = later(days=300)
    send(api, {"fileId": file_id}, sendAt=send_at.isoformat())
    api.delete(f"/api/files/{file_id}")

    environment.blobs.purge(keep_until(send_at, Policy()))

    assert len(environment.blobs.names) == 1
    environment.blobs.purge(later(days=600))
    assert environment.blobs.names == set()


@pytest.mark.parametrize("how", ["deleted", "expired", "never there", "of a test key", "without its bytes"])
def test_a_file_that_is_gone_is_named_by_its_field(api: FlaskClient, environment: WebEnvironment, how: str) -> None:
    environment.keys.add(
        KeyRecord(
            key_id="t", hash=hash_of("t"), client="default", scopes=frozenset(KeyScope), is_live=False, created_at=NOW
        )
    )
    file_id = upload(environment.client("t") if how == "of a test key" else api).json["fileId"]
    match how:
        case "deleted":
            api.delete(f"/api/files/{file_id}")
        case "expired":
            environment.clock.advance(31 * 86_400)
        case "never there":
            file_id = "0" * 32
        case "without its bytes":
            environment.blobs.purge(later(days=999))

    answer = send(api, {"fileId": file_id})
    many = api.post("/api/notifications/batch", json={"notifications": [mail({"fileId": file_id}), mail()]})

    [error] = answer.json["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/payload/attachments/0/fileId")
    assert "upload it" in error["message"]
    assert [each["status"] for each in many.json["results"]] == [422, 202]


def test_a_repetition_has_its_first_answer_though_the_file_is_gone(api: FlaskClient) -> None:
    file_id = upload(api).json["fileId"]
    first = send(api, {"fileId": file_id}, key="order-1")
    api.delete(f"/api/files/{file_id}")

    again = send(api, {"fileId": file_id}, key="order-1")

    assert (again.status_code, again.json["jobId"]) == (202, first.json["jobId"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert send(api, {"fileId": file_id}, key="order-2").status_code == 422


def test_all_attachments_of_a_mail_are_measured_together(api: FlaskClient) -> None:
    half = 6 * 1024 * 1024
    ids = [upload(api, bytes([number]) * half).json["fileId"] for number in (1, 2)]

    answer = send(api, *({"fileId": file_id} for file_id in ids))

    [error] = answer.json["errors"]
    assert (error["pointer"], error["code"]) == ("/payload/attachments", "too_large")
    assert send(api, {"fileId": ids[0]}).status_code == 202


@pytest.mark.parametrize(
    ("attachment", "pointers"),
    [
        ({"fileId": "short"}, ["fileId"]),
        ({"fileId": "0" * 32, "content": "aGVsbG8="}, ["content"]),
        ({}, ["content", "contentType", "filename"]),
        ({"filename": "a.txt"}, ["content", "contentType"]),
        ({"fileId": "0" * 32, "filename": "a/b"}, ["filename"]),
    ],
)
def test_an_attachment_has_its_content_or_the_id_of_a_file(
    api: FlaskClient, attachment: dict[str, Any], pointers: list[str]
) -> None:
    answer = send(api, attachment)

    found = sorted(error["pointer"].removeprefix("/payload/attachments/0/") for error in answer.json["errors"])
    assert (answer.status_code, found) == (422, pointers)


@pytest.mark.parametrize(
    ("data", "query", "headers", "status", "words"),
    [
        (b"", "filename=a.pdf", {}, 422, "must not be empty"),
        (b"a" * (10 * 1024 * 1024 + 1), "filename=a.pdf", {}, 422, "at most 10485760 bytes"),
        (PDF, "", {}, 422, "is missing"),
        (PDF, "filename=a/b", {}, 422, "without folders"),
        (PDF, "filename=a.pdf&ttlSeconds=59", {}, 422, "60"),
        (PDF, "filename=a.pdf&ttlSeconds=31536001", {}, 422, "31536000"),
        (PDF, "filename=a.pdf&name=b", {}, 422, "filename"),
        (PDF, "filename=a.pdf", {"Content-Type": ""}, 415, "--data-binary"),
        (PDF, "filename=a.pdf", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "--data-binary"),
        (PDF, "filename=a.pdf", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "--data-binary"),
        (PDF, "filename=a.pdf", {"Content-Type": "message/rfc822"}, 415, "no media type"),
        (PDF, "filename=a.pdf", {"Content-Encoding": "gzip"}, 415, "compressed"),
    ],
)
def test_what_is_no_file_is_refused_with_the_way_to_send_one(
    api: FlaskClient, data: bytes, query: str, headers: dict[str, str], status: int, words: str
) -> None:
    answer = upload(api, data, query, **headers)

    assert answer.status_code == status
    assert words in answer.text


def test_the_files_of_an_account_have_a_limit_together() -> None:
    environment = make_environment(Settings(secret_key="a secret for tests only", client_files_mib=1))
    api = environment.client()
    assert upload(api, b"a" * 600_000).status_code == 201

    answer = upload(api, b"b" * 600_000)

    assert answer.status_code == 422
    assert "WAVECOM_CLIENT_FILES_MIB" in answer.text
    assert upload(api, b"a" * 600_000).status_code == 201, "what is there takes no more room"
    assert len(environment.blobs.names) == 1


def test_a_file_is_attached_to_what_a_template_writes(api: FlaskClient, environment: WebEnvironment) -> None:
    source = {"variables": {}, "contents": {"en": {"email": {"subject": "Terms", "text": "Attached."}}}}
    api.post("/api/templates/terms/versions", json=source)
    api.post("/api/templates/terms/versions/1/publish")
    file_id = upload(api).json["fileId"]

    answer = api.post(
        "/api/notifications",
        json={
            "type": "email",
            "to": {"email": "amina@example.com"},
            "template": "terms",
            "payload": {"attachments": [{"fileId": file_id}]},
        },
    )

    job = environment.jobs.get(answer.json["jobId"])
    assert job is not None
    assert [each["blob"] for each in job.payload["attachments"]] == list(environment.blobs.names)
