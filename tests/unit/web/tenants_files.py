"""Attempts of accounts at each other's uploaded files and contact, for ``test_tenants.py``."""

from __future__ import annotations

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.tenants import Attempt, Tenant, Tenants


def _file_of(tenants: Tenants, victim: Tenant) -> str:
    """A file of the victim's, with a secret as its name; everybody has the same bytes."""
    upload = tenants.api(victim).post(
        f"/api/files?filename={victim.secret}", data=b"the terms", headers={"Content-Type": "text/plain"}
    )
    file_id: str = upload.json["fileId"]
    return file_id


def upload(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """The same bytes are a file for each, and nobody names another's."""
    theirs = _file_of(tenants, victim)
    mine = api.post("/api/files?filename=mine", data=b"the terms", headers={"Content-Type": "text/plain"})
    assert (mine.status_code, mine.json["filename"]) == (201, "mine")
    assert mine.json["fileId"] != theirs
    mail = {"subject": "Terms", "text": "Attached.", "attachments": [{"fileId": theirs}]}
    named = api.post("/api/notifications", json={"type": "email", "to": {"email": "a@b.example"}, "payload": mail})
    assert (named.status_code, named.json["errors"][0]["pointer"]) == (422, "/payload/attachments/0/fileId")
    return [mine, named]


def list_files(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """A list has one's own files alone."""
    _file_of(tenants, victim)
    answer = api.get("/api/files")
    assert answer.json == {"items": []}
    return [answer]


def at_the_file(method: str) -> Attempt:
    """Another's file is not found, and stays."""

    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        address = f"/api/files/{_file_of(tenants, victim)}"
        answer = api.open(address, method=method)
        assert (answer.status_code, answer.json["code"]) == (404, "file_not_found")
        assert tenants.api(victim).get(address).status_code == 200
        return [answer]

    return attempt


def contact_of(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    """Whoever asks, and whatever he sets, means his own client; a test key means nobody."""
    store = tenants.environment.keys
    store.set_contact(victim.client, f"{victim.secret}@b.example")
    read = api.get(f"/api/contact?client={victim.client}")
    pushed_in = api.put("/api/contact", json={"email": "a@b.example", "client": victim.client})
    assert (pushed_in.status_code, read.status_code) in {(422, 200), (422, 403)}
    assert store.contact(victim.client) == f"{victim.secret}@b.example"
    return [pushed_in]
