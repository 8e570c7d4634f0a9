"""Nobody sees or changes anything of another account's, on whatever address there is.

Every operation of the API and every page is tried for three pairs: two clients, in both directions, and the live and
the test key of one client. The operations are those of the application: one that is added and not described in
``ATTEMPTS`` or ``PAGES`` makes a test fail.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import make_job
from tests.template_environment import sms_source
from tests.unit.web.conftest import NOW, WebEnvironment, later
from tests.unit.web.tenants import ACME, ACME_TEST, GLOBEX, SMS, Attempt, Tenant, Tenants
from tests.unit.web.tenants_campaigns import CAMPAIGN_ATTEMPTS
from tests.unit.web.tenants_files import at_the_file, contact_of, list_files, upload
from tests.unit.web.tenants_recipients import AT_RECIPIENTS
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.client_events import ClientEvent
from wavecom.core.job import Job, JobId
from wavecom.core.keys import KeyRecord
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

#: Who tries, at whose things.
PAIRS = [(ACME, GLOBEX), (GLOBEX, ACME), (ACME, ACME_TEST), (ACME_TEST, ACME), (GLOBEX, ACME_TEST)]


@pytest.fixture
def tenants(environment: WebEnvironment) -> Tenants:
    jobs: dict[str, list[Job]] = {}
    for tenant in (ACME, GLOBEX, ACME_TEST):
        environment.keys.add(
            KeyRecord(
                key_id=tenant.key_id,
                hash=hash_of(tenant.key),
                client=tenant.client,
                scopes=frozenset(KeyScope),
                is_live=tenant.is_live,
                created_at=NOW,
                name=tenant.secret,
            )
        )
        jobs[tenant.account] = [
            make_job(
                client=tenant.account,
                status=status,
                created_at=later(-60),
                metadata={"secret": tenant.secret},
                payload={"text": tenant.secret},
                dead_lettered_at=NOW if status is Status.FAILED else None,
            )
            for status in Status
        ]
        environment.jobs.insert(jobs[tenant.account])
    return Tenants(environment, jobs)


def _at_each_job(method: str, path: str, body: Any = None, *, refused_with: int = 404) -> Attempt:
    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        answers = [
            api.open(path.format(job_id=job.job_id), method=method, json=body) for job in tenants.jobs[victim.account]
        ]
        assert {answer.status_code for answer in answers} == {refused_with}
        return answers

    return attempt


def _at_the_key(method: str, path: str, body: Any = None) -> Attempt:
    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        answer = api.open(path.format(key_id=victim.key_id), method=method, json=body)
        assert (answer.status_code, answer.json["code"]) == (404, "key_not_found")
        return [answer]

    return attempt


def _list(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    queries = ["", "?limit=2", f"?client={victim.account}", f"?recipient={tenants.jobs[victim.account][0].to['phone']}"]
    queries += [f"?status={status}" for status in Status]
    return [api.get(f"/api/notifications{query}") for query in queries]


def _send(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    headers = {"Idempotency-Key": "the same"}
    theirs = tenants.api(victim).post("/api/notifications", json=SMS, headers=headers)
    mine = api.post("/api/notifications", json=SMS, headers=headers)
    pushed_in = api.post("/api/notifications", json=SMS | {"client": victim.account})
    assert (theirs.status_code, mine.status_code, pushed_in.status_code) == (202, 202, 422)
    assert "Idempotent-Replayed" not in mine.headers
    assert mine.json["jobId"] != theirs.json["jobId"]
    assert api.get(theirs.headers["Location"]).status_code == 404
    stored = tenants.environment.jobs.get(mine.json["jobId"])
    assert stored is not None
    assert stored.client != victim.account
    return [mine]


def _send_many(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    batch = {"notifications": [SMS | {"idempotencyKey": "the same"}, SMS | {"client": victim.account}]}
    theirs = tenants.api(victim).post("/api/notifications/batch", json=batch)
    mine = api.post("/api/notifications/batch", json=batch)
    assert (theirs.status_code, mine.status_code) == (207, 207)
    their_id, my_id = (_job_ids(answer)[0] for answer in (theirs, mine))
    assert my_id != their_id
    assert api.get(f"/api/notifications/{their_id}").status_code == 404
    stored = tenants.environment.jobs.get(my_id)
    assert stored is not None
    assert stored.client != victim.account
    return [mine]


def _job_ids(answer: TestResponse) -> list[JobId]:
    return [JobId(found) for found in re.findall(r'"jobId":\s*"([^"]+)"', answer.text)]


def _replay(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    theirs = [job.job_id for job in tenants.jobs[victim.account]]
    wanted: list[dict[str, Any]] = [{"jobIds": theirs}, {"type": "sms"}, {"type": "sms", "dryRun": True}]
    answers = [api.post("/api/notifications/replay", json=body) for body in wanted]
    assert [answer.status_code for answer in answers] == [202, 202, 200]
    assert answers[0].json["replayed"] == 0
    assert answers[0].json["unknown"] == len(theirs)
    return answers


def _cancel(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    wanted: list[dict[str, Any]] = [{"type": "sms", "dryRun": True}, {"type": "sms"}]
    answers = [api.post("/api/notifications/cancel", json=body) for body in wanted]
    pushed_in = api.post("/api/notifications/cancel", json={"type": "sms", "client": victim.account})
    assert [answer.status_code for answer in (*answers, pushed_in)] == [200, 202, 422]
    for job in tenants.jobs[victim.account]:
        assert tenants.environment.jobs.get(job.job_id) == job
    return answers


def _count(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    tenants.environment.stats.add(victim.account, Channel.SMS, Status.DELIVERED, 7)
    pushed_in = api.get(f"/api/stats?client={victim.account}")
    answer = api.get("/api/stats")
    assert (pushed_in.status_code, answer.status_code) == (422, 200)
    assert answer.json["totals"]["delivered"] == 0
    return [answer]


def _list_keys(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    return [api.get("/api/keys"), api.get(f"/api/keys?client={victim.client}")]


def _make_key(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    wanted = {"name": "mine", "scopes": ["read"]}
    pushed_in = api.post("/api/keys", json=wanted | {"client": victim.client})
    answer = api.post("/api/keys", json=wanted)
    assert (pushed_in.status_code, answer.status_code) == (422, 201)
    made = tenants.environment.client(answer.json["key"])
    return [answer, *_list(made, tenants, victim)]


def _entry_of(tenants: Tenants, victim: Tenant) -> str:
    """What stands on the victim's suppression list, with a secret as its reason."""
    wanted = {"type": "email", "recipient": "amina@example.com", "reason": victim.secret}
    added = tenants.api(victim).post("/api/suppressions", json=wanted)
    assert added.status_code in {200, 201}
    suppression_id: str = added.json["suppressionId"]
    return suppression_id


def _at_the_entry(method: str) -> Attempt:
    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        entry = _entry_of(tenants, victim)
        answer = api.open(f"/api/suppressions/{entry}", method=method)
        assert (answer.status_code, answer.json["code"]) == (404, "suppression_not_found")
        assert tenants.api(victim).get(f"/api/suppressions/{entry}").json["state"] == "active"
        return [answer]

    return attempt


def _list_entries(path: str) -> Attempt:
    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        entry = _entry_of(tenants, victim)
        queries = ["", "?recipient=amina@example.com", "?state=active", f"?account={victim.account}"]
        answers = [api.get(f"{path}{query}") for query in queries]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 422]
        assert not [answer for answer in answers if entry in answer.text]
        return answers

    return attempt


def _add_entry(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    entry = _entry_of(tenants, victim)
    mine = api.post("/api/suppressions", json={"type": "email", "recipient": "amina@example.com"})
    assert mine.json["suppressionId"] != entry
    assert tenants.api(victim).get(f"/api/suppressions/{entry}").json["reason"] == victim.secret
    return [mine]


def _import_entries(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    entry = _entry_of(tenants, victim)
    rows = f"type,recipient,reason,account,suppressionId\nemail,amina@example.com,x,{victim.account},{entry}\n"
    answer = api.post("/api/suppressions/import", data=rows, content_type="text/csv")
    assert answer.json["added"] == 1
    assert tenants.api(victim).get(f"/api/suppressions/{entry}").json["reason"] == victim.secret
    return [answer]


def _see_providers(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    answer = api.get("/api/providers")
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    return [answer]


def _change_a_provider(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    answer = api.patch("/api/providers/gateway", json={"weight": 0, "reason": victim.secret})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    return [answer]


def _list_events(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    return _read_events("/api/events", "", api, tenants, victim)


def _stream_events(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    return _read_events("/api/events/stream", "?after=0", api, tenants, victim)


def _read_events(path: str, first: str, api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    job = tenants.jobs[victim.account][0]
    event = ClientEvent(
        job_id=job.job_id,
        version=1,
        account=victim.account,
        channel=job.type,
        status=Status.QUEUED,
        at=NOW,
        attempts=0,
        metadata={"secret": victim.secret},
        published_at=NOW,
    )
    tenants.environment.events.log.append(victim.account, [event])
    queries = [first, f"?jobId={job.job_id}&after=0", f"?account={victim.account}"]
    answers = [api.get(f"{path}{query}") for query in queries]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert not [answer for answer in answers if event.event_id in answer.text]
    assert event.event_id in tenants.api(victim).get(f"{path}{first}").text
    return answers


def _callback_of(tenants: Tenants, victim: Tenant) -> str:
    """A callback of the victim's, with a secret as its name."""
    wanted = {"url": "https://shop.example/hook", "name": victim.secret}
    callback_id: str = tenants.api(victim).post("/api/callbacks", json=wanted).json["callbackId"]
    return callback_id


def _list_callbacks(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    _callback_of(tenants, victim)
    answer = api.get("/api/callbacks")
    assert answer.json == {"items": []}
    return [answer]


def _create_a_callback(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    theirs = _callback_of(tenants, victim)
    pushed_in = api.post("/api/callbacks", json={"url": "https://a.example/", "client": victim.account})
    mine = api.post("/api/callbacks", json={"url": "https://a.example/"})
    assert (pushed_in.status_code, mine.status_code) == (422, 201)
    assert mine.json["callbackId"] != theirs
    return [mine]


def _at_the_callback(method: str, path: str = "", body: Any = None) -> Attempt:
    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        callback = _callback_of(tenants, victim)
        event = tenants.api(victim).post(f"/api/callbacks/{callback}/test").json["eventId"]
        before = tenants.api(victim).get(f"/api/callbacks/{callback}").json
        answer = api.open(f"/api/callbacks/{callback}{path.format(event=event)}", method=method, json=body)
        assert (answer.status_code, answer.json["code"]) == (404, "callback_not_found")
        assert tenants.api(victim).get(f"/api/callbacks/{callback}").json == before
        return [answer]

    return attempt


def _template_of(tenants: Tenants, victim: Tenant) -> None:
    """A template `theirs` of the victim's, which says a secret."""
    wanted = sms_source(victim.secret) | {"note": victim.secret}
    assert tenants.api(victim).post("/api/templates/theirs/versions", json=wanted).status_code == 201
    assert tenants.api(victim).post("/api/templates/theirs/versions/1/publish").status_code == 200


def _list_templates(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    _template_of(tenants, victim)
    answer = api.get("/api/templates")
    assert answer.json == {"items": [], "next": None}
    return [answer]


def _save_a_template(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
    _template_of(tenants, victim)
    theirs = tenants.api(victim).get("/api/templates/theirs/versions").json
    wanted = sms_source("{% include 'theirs' %}")
    borrowed = api.post("/api/templates/mine/versions", json=wanted)
    mine = api.post("/api/templates/theirs/versions", json=sms_source("mine"))
    assert (borrowed.status_code, mine.status_code, mine.json["version"]) == (422, 201, 1)
    assert tenants.api(victim).get("/api/templates/theirs/versions").json == theirs
    return [borrowed, mine]


def _at_the_template(method: str, path: str) -> Attempt:
    def attempt(api: FlaskClient, tenants: Tenants, victim: Tenant) -> list[TestResponse]:
        _template_of(tenants, victim)
        answer = api.open(f"/api/templates/theirs{path}", method=method)
        assert (answer.status_code, answer.json["code"]) == (404, "template_not_found")
        sent = api.post("/api/notifications", json={"type": "sms", "to": SMS["to"], "template": "theirs"})
        assert sent.status_code == 422
        return [answer, sent]

    return attempt


#: Each operation → how somebody tries to get at another's things through it. Answers what they got to see.
ATTEMPTS: dict[tuple[str, str], Attempt] = {
    ("POST", "/api/notifications"): _send,
    ("POST", "/api/notifications/batch"): _send_many,
    ("GET", "/api/notifications"): _list,
    ("GET", "/api/notifications/<job_id>"): _at_each_job("GET", "/api/notifications/{job_id}"),
    ("POST", "/api/notifications/<job_id>/cancel"): _at_each_job("POST", "/api/notifications/{job_id}/cancel"),
    ("POST", "/api/notifications/<job_id>/retry"): _at_each_job("POST", "/api/notifications/{job_id}/retry"),
    ("POST", "/api/notifications/<job_id>/settle"): _at_each_job(
        "POST", "/api/notifications/{job_id}/settle", {"outcome": "failed", "reason": "looked it up"}
    ),
    ("POST", "/api/notifications/replay"): _replay,
    ("POST", "/api/notifications/cancel"): _cancel,
    ("GET", "/api/stats"): _count,
    ("GET", "/api/providers"): _see_providers,
    ("PATCH", "/api/providers/<name>"): _change_a_provider,
    ("GET", "/api/suppressions"): _list_entries("/api/suppressions"),
    ("GET", "/api/suppressions/export"): _list_entries("/api/suppressions/export"),
    ("POST", "/api/suppressions"): _add_entry,
    ("POST", "/api/suppressions/import"): _import_entries,
    ("GET", "/api/suppressions/<suppression_id>"): _at_the_entry("GET"),
    ("DELETE", "/api/suppressions/<suppression_id>"): _at_the_entry("DELETE"),
    ("GET", "/api/events"): _list_events,
    ("GET", "/api/events/stream"): _stream_events,
    ("GET", "/api/contact"): contact_of,
    ("PUT", "/api/contact"): contact_of,
    ("GET", "/api/files"): list_files,
    ("POST", "/api/files"): upload,
    ("GET", "/api/files/<file_id>"): at_the_file("GET"),
    ("DELETE", "/api/files/<file_id>"): at_the_file("DELETE"),
    **CAMPAIGN_ATTEMPTS,
    ("GET", "/api/callbacks"): _list_callbacks,
    ("POST", "/api/callbacks"): _create_a_callback,
    ("GET", "/api/callbacks/<callback_id>"): _at_the_callback("GET"),
    ("PATCH", "/api/callbacks/<callback_id>"): _at_the_callback("PATCH", body={"state": "paused"}),
    ("DELETE", "/api/callbacks/<callback_id>"): _at_the_callback("DELETE"),
    ("POST", "/api/callbacks/<callback_id>/rotate"): _at_the_callback("POST", "/rotate", {}),
    ("POST", "/api/callbacks/<callback_id>/test"): _at_the_callback("POST", "/test"),
    ("GET", "/api/callbacks/<callback_id>/deliveries"): _at_the_callback("GET", "/deliveries"),
    ("POST", "/api/callbacks/<callback_id>/deliveries/<event_id>/resend"): _at_the_callback(
        "POST", "/deliveries/{event}/resend"
    ),
    ("POST", "/api/callbacks/<callback_id>/resend"): _at_the_callback(
        "POST", "/resend", {"since": "2026-03-14T00:00:00Z"}
    ),
    ("GET", "/api/templates"): _list_templates,
    ("GET", "/api/templates/<template>/versions"): _at_the_template("GET", "/versions"),
    ("POST", "/api/templates/<template>/versions"): _save_a_template,
    ("GET", "/api/templates/<template>/versions/<version>"): _at_the_template("GET", "/versions/1"),
    ("POST", "/api/templates/<template>/versions/<version>/review"): _at_the_template("POST", "/versions/1/review"),
    ("POST", "/api/templates/<template>/versions/<version>/publish"): _at_the_template("POST", "/versions/1/publish"),
    ("POST", "/api/templates/<template>/preview"): _at_the_template("POST", "/preview"),
    **AT_RECIPIENTS,
    ("GET", "/api/keys"): _list_keys,
    ("POST", "/api/keys"): _make_key,
    ("POST", "/api/keys/<key_id>/rotate"): _at_the_key("POST", "/api/keys/{key_id}/rotate", {}),
    ("POST", "/api/keys/<key_id>/revoke"): _at_the_key("POST", "/api/keys/{key_id}/revoke"),
}
#: The same in everybody's eyes: it holds nothing of any client's.
PUBLIC = {("GET", "/api/openapi.json")}

#: A live admin key manages the test keys of its own client, so it sees and changes those.
KEY_RULES = {"/api/keys", "/api/keys/<key_id>/rotate", "/api/keys/<key_id>/revoke"}
CASES = [
    (operation, attacker, victim)
    for operation in ATTEMPTS
    for attacker, victim in PAIRS
    if not (operation[1] in KEY_RULES and (attacker, victim) == (ACME, ACME_TEST))
]


def _operations(environment: WebEnvironment, *, of_api: bool) -> set[tuple[str, str]]:
    return {
        (method, rule.rule)
        for rule in environment.app.url_map.iter_rules()
        if (rule.rule.startswith("/api/") if of_api else rule.endpoint.startswith("dashboard."))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_operation_of_the_api_is_tried_here(environment: WebEnvironment) -> None:
    assert _operations(environment, of_api=True) - PUBLIC == set(ATTEMPTS)


@pytest.mark.parametrize(
    ("operation", "attacker", "victim"),
    CASES,
    ids=[f"{' '.join(operation)}, {attacker.account} at {victim.account}" for operation, attacker, victim in CASES],
)
def test_nobody_gets_at_anothers_things_through_the_api(
    tenants: Tenants, operation: tuple[str, str], attacker: Tenant, victim: Tenant
) -> None:
    before = tenants.everything_but(attacker)

    seen = ATTEMPTS[operation](tenants.api(attacker), tenants, victim)

    for answer in seen:
        assert victim.secret not in answer.text
        assert victim.key_id not in answer.text
        if answer.status_code < 400:
            # A refusal may repeat the id that was asked for.
            assert not [job.job_id for job in tenants.jobs[victim.account] if job.job_id in answer.text]
    after = tenants.everything_but(attacker)
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("tenant", [ACME, GLOBEX, ACME_TEST], ids=lambda tenant: tenant.account)
def test_everybody_gets_at_their_own(tenants: Tenants, tenant: Tenant) -> None:
    api = tenants.api(tenant)

    listed = api.get("/api/notifications?limit=100").json["items"]
    read = [api.get(f"/api/notifications/{job.job_id}").json for job in tenants.jobs[tenant.account]]

    assert {item["jobId"] for item in listed} == {job.job_id for job in tenants.jobs[tenant.account]}
    assert {each["payload"]["text"] for each in read} == {tenant.secret}
