"""The one way in, with real counts: repeats first, then one account for all that a client's keys cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.memory_storage import MemoryJobRepository
from tests.unit.web.api.test_batch import BAD, sms
from tests.unit.web.conftest import KEY, WebEnvironment, make_environment
from wavecom.accounts import KeyScope
from wavecom.core.job import Job, JobId
from wavecom.core.local_quota import LocalQuotas
from wavecom.core.ports import JobFilter
from wavecom.core.quota import QuotaDecision, QuotaRequest, StoredAnswer
from wavecom.core.senders import SenderPolicy
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.settings import Settings

PATH = "/api/notifications"


class ForgetfulQuotas(LocalQuotas):
    """Counts that keep no answers: as Redis after a flush, or after a day."""

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
        return None


def limited(*, rate: float | None = None, quota: int | None = None) -> WebEnvironment:
    settings = Settings(secret_key="a secret for tests only", key_rate_per_second=rate, key_daily_quota=quota)
    holder: list[WebEnvironment] = []
    quotas = ForgetfulQuotas(lambda: holder[0].clock.now().timestamp())
    holder.append(make_environment(settings, quotas=quotas))
    return holder[0]


def single(api: FlaskClient, key: str | None = None, body: Any = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(PATH, json=body or sms(), headers=headers)


def batch(api: FlaskClient, *items: Any, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(f"{PATH}/batch", json={"notifications": list(items)}, headers=headers)


def stored(environment: WebEnvironment) -> int:
    return len(environment.jobs.search(JobFilter(), 200).jobs)


def left(answer: Any, name: str = "daily") -> int:
    words = dict(part.strip().split(";", 1) for part in answer.headers["RateLimit"].split(","))
    return int(words[f'"{name}"'].split(";")[0].removeprefix("r="))


EXHAUSTED = pytest.mark.parametrize(
    ("limits", "code"), [({"quota": 3}, "quota_exhausted"), ({"rate": 0.3}, "rate_limited")]
)


@EXHAUSTED
def test_a_batch_that_is_sent_again_gets_its_first_answer_when_nothing_is_left(
    limits: dict[str, Any], code: str
) -> None:
    environment = limited(**limits)
    items = [sms(1), sms(2), sms(3)]
    first = batch(environment.client(), *items, key="b")
    assert first.status_code == 202

    for later_by in (0, 61):
        environment.clock.advance(0 if "rate" in limits else later_by)
        again = batch(environment.client(), *items, key="b")
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
        assert [each["notification"] for each in again.json["results"]] == [
            each["notification"] for each in first.json["results"]
        ]
    if code == "quota_exhausted":
        assert single(environment.client(), body=sms(4)).json["code"] == code
    assert stored(environment) == 3


@EXHAUSTED
def test_a_single_request_too(limits: dict[str, Any], code: str) -> None:
    environment = limited(**limits)
    first = single(environment.client(), "a")
    for number in (1, 2):
        single(environment.client(), body=sms(number))

    assert single(environment.client(), body=sms(7)).json["code"] == code
    again = single(environment.client(), "a")

    assert (again.status_code, again.data) == (202, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    mismatch = single(environment.client(), "a", sms(9))
    assert mismatch.json["code"] == "idempotency_mismatch" or mismatch.status_code == 429
    assert stored(environment) == 3


def test_ten_equal_requests_make_one_job_and_cost_one() -> None:
    environment = limited(quota=5)

    answers = [single(environment.client(), "a") for _ in range(10)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.data for answer in answers}) == 1
    assert left(single(environment.client())) == 3


def test_a_repeat_that_only_the_store_knows_costs_nothing() -> None:
    environment = limited(rate=1, quota=5)
    single(environment.client(), "a")
    environment.clock.advance(3600)

    single(environment.client(), "a")
    batch(environment.client(), sms(), key="a")  # Another key: a/0.

    answer = single(environment.client())
    assert (left(answer), left(answer, "rate")) == (2, 8)


def test_of_a_batch_in_part_repeated_only_the_rest_counts_whatever_the_time() -> None:
    environment = limited(quota=4)
    items = [{**sms(number), "idempotencyKey": str(number)} for number in range(4)]
    batch(environment.client(), *items[:3])
    for seconds in (0, 3600):
        environment.clock.advance(seconds)
        again = batch(environment.client(), *items)
        assert again.status_code == 202

    assert left(again) == 0
    assert single(environment.client()).json["code"] == "quota_exhausted"
    assert stored(environment) == 4


def test_a_repeat_with_attachments_is_answered_though_nothing_is_left() -> None:
    environment = limited(quota=1)
    mail = {
        "type": "email",
        "to": {"email": "amina@example.com"},
        "payload": {
            "subject": "S",
            "text": "T",
            "attachments": [{"filename": "a.txt", "contentType": "text/plain", "content": "QUJD"}],
        },
    }
    first = single(environment.client(), "a", mail)

    again = single(environment.client(), "a", mail)
    other = single(environment.client(), "b", mail)

    assert (again.status_code, again.data) == (202, first.data)
    assert other.json["code"] == "quota_exhausted"


def test_refused_work_uses_up_the_rate_and_then_is_429_and_never_the_quota() -> None:
    environment = limited(rate=0.3, quota=10)

    answers = [single(environment.client(), body=BAD).status_code for _ in range(5)]
    environment.clock.advance(60)
    many = batch(environment.client(), BAD, sms(), BAD)
    environment.clock.advance(60)

    assert answers == [422] * 3 + [429] * 2
    assert many.status_code == 207
    assert left(single(environment.client())) == 8


def test_a_mismatch_is_refused_work() -> None:
    environment = limited(rate=0.5)
    single(environment.client(), "a")

    answers = [single(environment.client(), "a", sms(1)).status_code for _ in range(6)]

    assert answers == [422] * 4 + [429] * 2
    assert single(environment.client(), "a").status_code == 202


def read(environment: WebEnvironment, job_id: str) -> Job:
    job = environment.jobs.get(JobId(job_id))
    assert job is not None
    return job


def fail(environment: WebEnvironment, count: int) -> list[str]:
    """So many notifications, failed and dead-lettered."""
    ids = []
    for number in range(count):
        job_id = single(environment.client(), body=sms(number)).json["jobId"]
        now = environment.clock.now()
        job = read(environment, job_id)
        environment.jobs.put(
            replace(job, status=Status.FAILED, finished_at=now, dead_lettered_at=now, due_at=None, attempts=5)
        )
        ids.append(job_id)
    return ids


def test_a_retry_costs_what_a_send_costs_and_one_that_can_not_be_costs_nothing() -> None:
    environment = limited(quota=3)
    [job_id] = fail(environment, 1)

    first = environment.client().post(f"{PATH}/{job_id}/retry")
    not_failed = environment.client().post(f"{PATH}/{job_id}/retry")
    fine = single(environment.client())
    fail_again = read(environment, job_id)
    assert (first.status_code, not_failed.status_code, left(fine)) == (202, 409, 0)

    environment.jobs.put(replace(fail_again, status=Status.FAILED))
    refused = environment.client().post(f"{PATH}/{job_id}/retry")
    assert refused.json["code"] == "quota_exhausted"
    assert read(environment, job_id).status is Status.FAILED


def test_a_replay_costs_what_a_batch_costs_and_is_all_or_nothing() -> None:
    environment = limited(quota=8)
    ids = fail(environment, 5)

    refused = environment.client().post(f"{PATH}/replay", json={"jobIds": ids})
    some = environment.client().post(f"{PATH}/replay", json={"jobIds": ids, "limit": 2})
    dry = environment.client().post(f"{PATH}/replay", json={"jobIds": ids, "dryRun": True})

    assert refused.json["code"] == "quota_exhausted"
    assert (some.status_code, some.json["replayed"]) == (202, 2)
    assert dry.status_code == 200
    assert left(single(environment.client())) == 0


def test_an_admin_key_under_a_quota_gets_no_more_by_making_keys() -> None:
    environment = limited(quota=3)
    keys = [KEY]
    for _ in range(4):
        made = environment.client().post("/api/keys", json={"name": "more", "scopes": ["send"]})
        keys.append(made.json["key"])

    answers = [single(environment.client(key)).status_code for key in keys * 2]

    assert answers.count(202) == 3
    assert set(answers) == {202, 429}


def test_who_did_it_is_kept() -> None:
    environment = make_environment()
    [maker] = environment.keys.of_client(None)
    other = environment.client().post("/api/keys", json={"name": "ops", "scopes": [*KeyScope]}).json
    job_id = single(environment.client()).json["jobId"]
    [second] = batch(environment.client(), sms()).json["results"]

    environment.client(other["key"]).post(f"{PATH}/{job_id}/cancel")

    read = environment.client().get(f"{PATH}/{job_id}").json
    assert read["createdBy"] == f"key {maker.key_id}"
    assert read["logs"][-1] == {"at": read["updatedAt"], "event": "cancelled", "by": f"key {other['keyId']}"}
    listed = environment.client().get(f"{PATH}/{second['notification']['jobId']}").json
    assert listed["createdBy"] == f"key {maker.key_id}"


class RacingQuotas(ForgetfulQuotas):
    """Counts that let a twin of the first request pass before that one is stored, as another thread might."""

    twin: Callable[[], Any] | None = None

    def check_many(self, requests: Sequence[QuotaRequest]) -> list[QuotaDecision]:
        decisions = super().check_many(requests)
        twin, self.twin = self.twin, None
        if twin is not None:
            assert twin().status_code in {202, 207}
        return decisions


class Away(MemoryJobRepository):
    """A store that can't be reached when something is to be stored."""

    is_away = False

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        if self.is_away:
            raise StoreError("no answer from the store")
        return super().insert(jobs)


def test_what_could_not_be_stored_costs_nothing_in_the_end() -> None:
    holder: list[WebEnvironment] = []
    quotas = ForgetfulQuotas(lambda: holder[0].clock.now().timestamp())
    jobs = Away(lambda: holder[0].clock.now())
    settings = Settings(secret_key="a secret for tests only", key_daily_quota=10)
    holder.append(make_environment(settings, jobs=jobs, quotas=quotas))
    api = holder[0].client()
    jobs.is_away = True

    for _ in range(4):
        assert batch(api, sms(1), sms(2), sms(3)).status_code == 503
        assert batch(api, sms(1), sms(2), key="b").status_code == 503
        assert single(api).status_code == 503
        assert single(api, "s").status_code == 503
    jobs.is_away = False

    assert batch(api, sms(1), sms(2), key="b").status_code == 202
    assert single(api, "s").status_code == 202
    assert left(single(api)) == 10 - 3 - 1


def racing(quota: int) -> tuple[WebEnvironment, RacingQuotas]:
    holder: list[WebEnvironment] = []
    quotas = RacingQuotas(lambda: holder[0].clock.now().timestamp())
    settings = Settings(secret_key="a secret for tests only", key_daily_quota=quota)
    holder.append(make_environment(settings, quotas=quotas))
    return holder[0], quotas


@pytest.mark.parametrize("text", ["Hello", "another body"])
def test_twins_that_overtake_each_other_are_paid_once(text: str) -> None:
    """The one is counted, the other let through by its mark, and stored first: not for nothing."""
    environment, quotas = racing(10)
    api = environment.client()
    body, twin = [sms(n) for n in range(3)], [sms(n) | {"payload": {"text": text}} for n in range(3)]

    quotas.twin = lambda: batch(api, *twin, key="b")
    batch(api, *body, key="b")
    quotas.twin = lambda: single(api, "s", sms(8) | {"payload": {"text": text}})
    single(api, "s", sms(8))

    assert stored(environment) == 4
    assert left(single(api)) == 10 - 4 - 1


def test_a_batch_of_new_ones_repeats_and_mismatches_costs_what_is_new() -> None:
    environment = limited(quota=10)
    api = environment.client()
    batch(api, sms(1), sms(2), key="b")
    environment.clock.advance(3600)

    answer = batch(api, sms(1), sms(99), sms(3), key="b")

    assert [each["status"] for each in answer.json["results"]] == [202, 422, 202]
    assert stored(environment) == 3
    assert left(single(api)) == 10 - 3 - 1


@EXHAUSTED
def test_a_batch_with_something_wrong_in_it_that_is_sent_again_gets_its_first_answer(
    limits: dict[str, Any], code: str
) -> None:
    environment = limited(**limits)
    api = environment.client()
    first = batch(api, sms(1), BAD, sms(2), key="b")
    single(api, body=sms(5))
    assert first.status_code == 207
    assert single(api, body=sms(7)).json["code"] == code

    again = batch(api, sms(1), BAD, sms(2), key="b")

    assert [each["status"] for each in again.json["results"]] == [202, 422, 202]
    assert again.json["results"][0]["notification"] == first.json["results"][0]["notification"]
    # With anything new in it there is no room for it.
    assert batch(api, sms(1), BAD, sms(2), sms(3), key="b").json["code"] == code
    # And what is wrong alone repeats nothing.
    assert code == "quota_exhausted" or batch(api, BAD, key="b").json["code"] == code


@EXHAUSTED
def test_a_batch_whose_time_has_passed_since_gets_its_first_answer(limits: dict[str, Any], code: str) -> None:
    environment = limited(**limits)
    api = environment.client()
    dated = sms(1) | {"expiresAt": "2026-03-14T09:30:00Z"}
    first = batch(api, dated, BAD, key="b")
    assert first.status_code == 207
    environment.clock.advance(600)
    for number in (2, 3, 4):
        single(api, body=sms(number))
    assert single(api, body=sms(7)).json["code"] == code

    again = batch(api, dated, BAD, key="b")

    assert [each["status"] for each in again.json["results"]] == [202, 422]
    assert again.json["results"][0]["notification"] == first.json["results"][0]["notification"]


def test_a_repetition_gets_its_first_answer_though_its_sender_may_not_be_used_any_more() -> None:
    environment = limited(quota=10)
    api = environment.client()
    named = sms(1) | {"payload": {"text": "Hello", "senderId": "ACME"}}
    first = batch(api, named, sms(2), key="b")
    assert first.status_code == 202
    environment.keys.set_sender_policy("default", SenderPolicy(sms=frozenset()))
    environment.clock.advance(60)

    again = batch(api, named, sms(2), named, key="b")

    assert [each["status"] for each in again.json["results"]] == [202, 202, 422]
    assert again.json["results"][0]["notification"] == first.json["results"][0]["notification"]
    assert left(single(api)) == 10 - 2 - 1
