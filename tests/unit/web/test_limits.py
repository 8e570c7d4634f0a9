"""Limits of keys and answers given before, as a client meets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.web.api.test_batch import BAD, sms
from tests.unit.web.conftest import KEY, NOW, make_environment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.core.ports import JobFilter
from wavecom.core.quota import ALLOWED, Limits, QuotaDecision, QuotaRequest, StoredAnswer
from wavecom.errors import LimitStatus
from wavecom.settings import Settings

LEFT_OVER = (LimitStatus("rate", 100, 10, 99, 1), LimitStatus("daily", 5000, 86_400, 4999, 3600))
POLICY = '"rate";q=100;w=10, "daily";q=5000;w=86400'
LEFT = '"rate";r=99;t=1, "daily";r=4999;t=3600'
PATH = "/api/notifications"


class ScriptedQuotas:
    """Answers what it was told to; remembers."""

    def __init__(self, decision: QuotaDecision = ALLOWED) -> None:
        self.decision = decision
        self.asked: list[QuotaRequest] = []
        self.refunds: list[int] = []
        self.stored: dict[str, StoredAnswer] = {}

    def check(self, request: QuotaRequest) -> QuotaDecision:
        self.asked.append(request)
        found = self.stored.get(request.names[0]) if request.wants_answer else None
        return self.decision if found is None else QuotaDecision(answer=found)

    def check_many(self, requests: Sequence[QuotaRequest]) -> list[QuotaDecision]:
        return [self.check(request) for request in requests]

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        self.refunds.append(count)

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
        self.stored[name] = answer


def _settings(**limits: Any) -> Settings:
    return Settings(secret_key="a secret for tests only", **limits)


def test_without_limits_and_keys_nobody_is_asked() -> None:
    quotas = ScriptedQuotas()
    api = make_environment(quotas=quotas).client()

    answer = api.post(PATH, json=sms())
    api.post(f"{PATH}/batch", json={"notifications": [sms()]})

    assert answer.status_code == 202
    assert quotas.asked == []
    assert "RateLimit" not in answer.headers


def test_with_room_the_answer_tells_what_is_left() -> None:
    quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER))
    api = make_environment(_settings(key_rate_per_second=10, key_daily_quota=5000), quotas=quotas).client()

    one = api.post(PATH, json=sms())
    many = api.post(f"{PATH}/batch", json={"notifications": [sms(1), BAD, sms(2)]})

    for answer in (one, many):
        assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (POLICY, LEFT)
    assert [request.cost for request in quotas.asked] == [1, 2]
    assert {request.limits for request in quotas.asked} == {Limits(10, 5000)}


def test_a_fallback_without_a_key_has_no_name_that_its_charge_is_kept_under() -> None:
    quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER, charged=1))
    environment = make_environment(_settings(key_rate_per_second=10), quotas=quotas)
    push = {"type": "push", "to": {"platform": "fcm", "token": "t"}, "payload": {"title": "a", "body": "b"}}

    answer = environment.client().post(PATH, json={"fallback": [push | {"wait": "30s"}, sms()]})

    assert answer.status_code == 202
    assert [(request.cost, request.names) for request in quotas.asked] == [(1, ())]


def test_without_room_nothing_is_stored_and_the_client_is_told_when_to_come_back() -> None:
    for refused, code in (("rate", "rate_limited"), ("daily", "quota_exhausted")):
        quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER, refused=refused, retry_after_seconds=7))
        environment = make_environment(_settings(key_rate_per_second=10), quotas=quotas)

        one = environment.client().post(PATH, json=sms())
        many = environment.client().post(f"{PATH}/batch", json={"notifications": [sms()]})

        for answer in (one, many):
            assert (answer.status_code, answer.json["code"]) == (429, code)
            assert answer.mimetype == "application/problem+json"
            assert answer.headers["Retry-After"] == "7"
            assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (POLICY, LEFT)
        assert environment.jobs.search(JobFilter(), 1).jobs == ()


def test_a_request_that_is_wrong_counts_against_the_rate_only() -> None:
    quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER))
    api = make_environment(_settings(key_rate_per_second=10, key_daily_quota=5000), quotas=quotas).client()

    api.post(PATH, json=BAD)
    api.post(PATH, json=sms(), headers={"Idempotency-Key": "é"})
    api.post(f"{PATH}/batch", json={"notifications": [BAD, sms(), BAD]})

    assert [(request.cost, request.refused) for request in quotas.asked] == [(0, 1), (0, 1), (1, 2)]


def test_a_keys_own_limits_come_before_those_of_the_settings() -> None:
    quotas = ScriptedQuotas()
    environment = make_environment(_settings(key_rate_per_second=10, key_daily_quota=5000), quotas=quotas)
    record = KeyRecord(
        key_id="own",
        hash=hash_of("wc_live_own"),
        client="acme",
        scopes=frozenset({KeyScope.SEND.value}),
        is_live=True,
        created_at=NOW,
        rate_per_second=0.5,
    )
    environment.keys.add(record)

    environment.client("wc_live_own").post(PATH, json=sms())
    environment.client(KEY).post(PATH, json=sms())

    own, usual = quotas.asked
    assert (own.budget, own.limits) == ("own", Limits(0.5, 5000))
    assert usual.limits == Limits(10, 5000)


def test_a_remembered_answer_is_given_again_without_the_store() -> None:
    quotas = ScriptedQuotas()
    environment = make_environment(quotas=quotas)
    api = environment.client()
    first = api.post(PATH, json=sms(), headers={"Idempotency-Key": "a"})
    fresh = make_environment(quotas=quotas)

    again = fresh.client().post(PATH, json=sms(), headers={"Idempotency-Key": "a"})
    other = fresh.client().post(PATH, json=sms(1), headers={"Idempotency-Key": "a"})

    assert (again.status_code, again.data) == (202, first.data)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert fresh.jobs.search(JobFilter(), 1).jobs == ()


def test_answers_are_remembered_by_account_and_without_the_key_itself() -> None:
    quotas = ScriptedQuotas()
    api = make_environment(quotas=quotas).client()

    api.post(PATH, json=sms(), headers={"Idempotency-Key": "a"})

    [name] = quotas.stored
    assert name.startswith("default:")
    assert len(name) == len("default:") + 64


def test_keys_that_a_key_makes_and_rotates_go_on_with_its_count() -> None:
    quotas = ScriptedQuotas(QuotaDecision(LEFT_OVER))
    environment = make_environment(_settings(key_daily_quota=5000), quotas=quotas)
    [maker] = environment.keys.of_client(None)
    first = environment.client().post("/api/keys", json={"name": "backend", "scopes": ["send"]}).json
    second = environment.client().post(f"/api/keys/{first['keyId']}/rotate").json
    third = environment.client().post(f"/api/keys/{second['keyId']}/rotate").json

    for key in (first["key"], second["key"], third["key"], KEY):
        assert environment.client(key).post(PATH, json=sms()).status_code == 202

    assert {request.budget for request in quotas.asked} == {maker.key_id}
