"""Limits of keys and answers given before, as a client meets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.web.conftest import KEY, NOW, make_world
from tests.unit.web.test_batch import BAD, sms
from wavecom.accounts import Scope, hash_of
from wavecom.core.intake import GO_ON, Ask, Finished, Limits, Room, Verdict
from wavecom.core.keys import KeyRecord
from wavecom.core.ports import JobFilter
from wavecom.settings import Settings

ROOMS = (Room("rate", 100, 10, 99, 1), Room("daily", 5000, 86_400, 4999, 3600))
POLICY = '"rate";q=100;w=10, "daily";q=5000;w=86400'
LEFT = '"rate";r=99;t=1, "daily";r=4999;t=3600'
PATH = "/api/notifications"


class ScriptedIntake:
    """Answers what it was told to; remembers."""

    def __init__(self, verdict: Verdict = GO_ON) -> None:
        self.verdict = verdict
        self.asks: list[Ask] = []
        self.finished: dict[str, Finished] = {}

    def ask(self, ask: Ask) -> Verdict:
        self.asks.append(ask)
        found = self.finished.get(ask.answer or "")
        return self.verdict if found is None else Verdict(finished=found)

    def ask_many(self, asks: Sequence[Ask]) -> list[Verdict]:
        return [self.ask(ask) for ask in asks]

    def remember(self, answer: str, finished: Finished) -> None:
        self.finished[answer] = finished


def _settings(**limits: Any) -> Settings:
    return Settings(secret_key="a secret for tests only", **limits)


def test_without_limits_and_keys_nobody_is_asked() -> None:
    intake = ScriptedIntake()
    api = make_world(intake=intake).client()

    answer = api.post(PATH, json=sms())
    api.post(f"{PATH}/batch", json={"notifications": [sms()]})

    assert answer.status_code == 202
    assert intake.asks == []
    assert "RateLimit" not in answer.headers


def test_with_room_the_answer_tells_what_is_left() -> None:
    intake = ScriptedIntake(Verdict(ROOMS))
    api = make_world(_settings(key_rate_per_second=10, key_daily_quota=5000), intake=intake).client()

    one = api.post(PATH, json=sms())
    many = api.post(f"{PATH}/batch", json={"notifications": [sms(1), BAD, sms(2)]})

    for answer in (one, many):
        assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (POLICY, LEFT)
    assert [ask.cost for ask in intake.asks] == [1, 2]
    assert {ask.limits for ask in intake.asks} == {Limits(10, 5000)}


def test_without_room_nothing_is_stored_and_the_client_is_told_when_to_come_back() -> None:
    for refused, code in (("rate", "rate_limited"), ("daily", "quota_exhausted")):
        intake = ScriptedIntake(Verdict(ROOMS, refused=refused, retry_after_seconds=7))
        world = make_world(_settings(key_rate_per_second=10), intake=intake)

        one = world.client().post(PATH, json=sms())
        many = world.client().post(f"{PATH}/batch", json={"notifications": [sms()]})

        for answer in (one, many):
            assert (answer.status_code, answer.json["code"]) == (429, code)
            assert answer.mimetype == "application/problem+json"
            assert answer.headers["Retry-After"] == "7"
            assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (POLICY, LEFT)
        assert world.jobs.search(JobFilter(), 1).jobs == ()


def test_a_request_that_is_wrong_costs_nothing() -> None:
    intake = ScriptedIntake(Verdict(ROOMS))
    api = make_world(_settings(key_rate_per_second=10), intake=intake).client()

    api.post(PATH, json=BAD)
    api.post(f"{PATH}/batch", json={"notifications": [BAD]})

    assert intake.asks == []


def test_a_keys_own_limits_come_before_those_of_the_settings() -> None:
    intake = ScriptedIntake()
    world = make_world(_settings(key_rate_per_second=10, key_daily_quota=5000), intake=intake)
    record = KeyRecord(
        key_id="own",
        hash=hash_of("wc_live_own"),
        client="acme",
        scopes=frozenset({Scope.SEND.value}),
        is_live=True,
        created_at=NOW,
        rate_per_second=0.5,
    )
    world.keys.add(record)

    world.client("wc_live_own").post(PATH, json=sms())
    world.client(KEY).post(PATH, json=sms())

    own, usual = intake.asks
    assert (own.key_id, own.limits) == ("own", Limits(0.5, 5000))
    assert usual.limits == Limits(10, 5000)


def test_a_remembered_answer_is_given_again_without_the_store() -> None:
    intake = ScriptedIntake()
    world = make_world(intake=intake)
    api = world.client()
    first = api.post(PATH, json=sms(), headers={"Idempotency-Key": "a"})
    fresh = make_world(intake=intake)

    again = fresh.client().post(PATH, json=sms(), headers={"Idempotency-Key": "a"})
    other = fresh.client().post(PATH, json=sms(1), headers={"Idempotency-Key": "a"})

    assert (again.status_code, again.data) == (202, first.data)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert fresh.jobs.search(JobFilter(), 1).jobs == ()


def test_answers_are_remembered_by_account_and_without_the_key_itself() -> None:
    intake = ScriptedIntake()
    api = make_world(intake=intake).client()

    api.post(PATH, json=sms(), headers={"Idempotency-Key": "a"})

    [name] = intake.finished
    assert name.startswith("default:")
    assert len(name) == len("default:") + 64


def test_a_rotated_key_goes_on_with_the_count_of_the_one_it_replaces() -> None:
    intake = ScriptedIntake(Verdict(ROOMS))
    world = make_world(_settings(key_daily_quota=5000), intake=intake)
    first = world.client().post("/api/keys", json={"name": "backend", "scopes": ["send"]}).json
    second = world.client().post(f"/api/keys/{first['keyId']}/rotate").json
    third = world.client().post(f"/api/keys/{second['keyId']}/rotate").json

    for each in (first, second, third):
        assert world.client(each["key"]).post(PATH, json=sms()).status_code == 202

    assert {ask.key_id for ask in intake.asks} == {first["keyId"]}
