"""Events to endpoints: over memory, with endpoints that do as they are told."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.callback_environment import Environment
from tests.memory_storage import (
    MemoryCallbackStore,
)
from wavecom.core.callback_schedule import DISABLE_AFTER, SLOW_AFTER
from wavecom.core.callback_sending import HOLD, WIDTH
from wavecom.core.callbacks import (
    CallbackLease,
    CallbackSecret,
    CallbackState,
    DeliveryState,
    DisabledReason,
)
from wavecom.core.job import JobError
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


@pytest.fixture
def env() -> Environment:
    return Environment()


def test_an_event_is_sent_signed_and_once(env: Environment) -> None:
    callback = env.add()
    [event] = env.happen(error=JobError("recipient_gone", "http_410", "fcm"), status=Status.FAILED)

    env.run()
    env.run_for(3600, 60)

    [(url, headers, body)] = env.endpoints.calls
    assert url == callback.url
    assert headers["webhook-id"] == event.event_id
    assert headers["webhook-signature"].startswith("v1,")
    sent = json.loads(body)
    assert (sent["type"], sent["data"]["version"]) == ("notification.failed", 2)
    assert sent["data"]["error"]["code"] == "recipient_gone"
    delivery = env.deliveries.get(callback.callback_id, event.event_id)
    assert delivery is not None
    assert [(each.status, each.excerpt) for each in delivery.tries] == [(204, "the answer")]


def test_a_callback_is_sent_what_it_asks_for_alone(env: Environment) -> None:
    env.add("a" * 32, statuses=frozenset({Status.FAILED}))
    env.add("b" * 32, channels=frozenset({Channel.EMAIL}))
    env.add("c" * 32, account="globex")
    [failed] = env.happen(status=Status.FAILED)
    [mail] = env.happen(channel=Channel.EMAIL)

    env.run()

    assert env.endpoints.sent(env.callback("a" * 32).url) == [failed.event_id]
    assert env.endpoints.sent(env.callback("b" * 32).url) == [mail.event_id]
    assert env.endpoints.sent(env.callback("c" * 32).url) == []


def test_an_event_that_is_published_twice_is_sent_once(env: Environment) -> None:
    env.add()
    events = env.happen(3)
    env.run()

    env.subscriber.add({"acme": events})
    env.run()

    assert Counter(env.endpoints.sent()) == Counter(event.event_id for event in events)


def test_a_try_that_fails_is_repeated_by_the_schedule_with_the_same_id(env: Environment) -> None:
    callback = env.add()
    env.endpoints.statuses[callback.url] = 503
    [event] = env.happen()
    env.run()
    assert len(env.endpoints.calls) == 1

    env.run_for(4, 1)
    assert len(env.endpoints.calls) == 1
    env.run_for(1, 1)
    assert len(env.endpoints.calls) == 2

    env.endpoints.statuses.clear()
    env.run_for(30)
    env.run_for(3600, 60)

    assert env.endpoints.sent() == [event.event_id] * 3
    assert env.states() == {DeliveryState.DELIVERED: 1}
    assert env.callback().failures == 0


def test_a_dead_endpoint_takes_one_call_at_a_time_and_loses_nothing_when_it_is_back(env: Environment) -> None:
    callback = env.add()
    env.endpoints.statuses[callback.url] = 503
    events = env.happen(200)
    env.run()
    assert SLOW_AFTER <= len(env.endpoints.calls) <= SLOW_AFTER + WIDTH
    before = len(env.endpoints.calls)

    env.run_for(3600)
    assert len(env.endpoints.calls) - before <= 20
    assert env.callback().state is CallbackState.ACTIVE

    env.endpoints.statuses.clear()
    env.run_for(3600)

    assert env.states() == {DeliveryState.DELIVERED: 200}
    assert {event.event_id for event in events} == set(env.endpoints.sent())


def test_one_dead_endpoint_of_fifty_delays_no_other(env: Environment) -> None:
    names = [f"{number:032x}" for number in range(50)]
    for number, name in enumerate(names):
        env.add(name, url=f"https://{number}.example/")
    dead = env.callback(names[0])
    env.endpoints.statuses[dead.url] = 500
    env.happen(20)

    env.run()

    for name in names[1:]:
        assert env.states(name) == {DeliveryState.DELIVERED: 20}
    assert env.states(names[0]) == {DeliveryState.PENDING: 20}


def test_gone_disables_a_callback_and_what_happens_meanwhile_can_be_sent_later(env: Environment) -> None:
    callback = env.add()
    began = env.clock.now()
    env.endpoints.statuses[callback.url] = 410
    env.happen()
    env.run()
    assert (env.callback().state, env.callback().disabled_reason) == (CallbackState.DISABLED, DisabledReason.GONE)

    meanwhile = env.happen(2)
    env.run_for(600)
    assert len(env.endpoints.calls) == 1

    env.endpoints.statuses.clear()
    env.administration.change("key k-1", callback.callback_id, "acme", {"state": CallbackState.ACTIVE})
    resent = env.administration.resend_since(callback.callback_id, "acme", began)
    env.run()

    assert resent.count == 3
    assert set(env.endpoints.sent()[1:]) >= {event.event_id for event in meanwhile}
    assert env.states() == {DeliveryState.DELIVERED: 3}


def test_an_endpoint_that_fails_for_days_is_disabled(env: Environment) -> None:
    callback = env.add()
    env.endpoints.statuses[callback.url] = 500
    for _ in range(int(DISABLE_AFTER.total_seconds() / 3600) + 2):
        env.happen()
        env.run_for(3600, 600)

    assert (env.callback().disabled_reason, env.callback().owed_notice) == (DisabledReason.FAILING, "disabled")


def test_what_happens_while_a_callback_is_paused_is_sent_afterwards(env: Environment) -> None:
    callback = env.add()
    env.administration.change("key k-1", callback.callback_id, "acme", {"state": CallbackState.PAUSED})
    events = env.happen(3)
    env.run_for(600)
    assert env.endpoints.calls == []

    env.administration.change("key k-1", callback.callback_id, "acme", {"state": CallbackState.ACTIVE})
    env.run()

    assert set(env.endpoints.sent()) == {event.event_id for event in events}


def test_what_was_kept_during_a_long_pause_outlives_the_first_fault_after_it(env: Environment) -> None:
    callback = env.add()
    env.administration.change("key k-1", callback.callback_id, "acme", {"state": CallbackState.PAUSED})
    env.happen(3)
    env.clock.advance(3 * 86_400)
    env.endpoints.statuses[callback.url] = 503

    env.administration.change("key k-1", callback.callback_id, "acme", {"state": CallbackState.ACTIVE})
    env.run()
    env.endpoints.statuses.clear()
    env.run_for(60)

    assert env.states() == {DeliveryState.DELIVERED: 3}


def test_what_an_endpoint_answers_tells_nothing_of_the_one_that_its_client_has_named_meanwhile(
    env: Environment,
) -> None:
    callback = env.add()
    env.endpoints.statuses[callback.url] = 410
    env.happen()

    def move() -> None:
        env.clock.advance(1)
        env.administration.change("key k-1", callback.callback_id, "acme", {"url": "https://new.example/"})
        env.endpoints.meanwhile = lambda: None

    env.endpoints.meanwhile = move
    env.run()
    env.run_for(60)

    assert (env.callback().state, env.callback().failures) == (CallbackState.ACTIVE, 0)
    assert env.states() == {DeliveryState.DELIVERED: 1}


def test_a_worker_that_stops_begins_no_call_and_leaves_the_rest_to_others_at_once(env: Environment) -> None:
    env.add()
    env.happen(WIDTH + 1)

    def stop() -> None:
        env.is_stopping = True

    env.endpoints.meanwhile = stop
    env.run()
    assert len(env.endpoints.calls) == WIDTH
    env.run()
    assert len(env.endpoints.calls) == WIDTH

    env.is_stopping, env.endpoints.meanwhile = False, lambda: None
    env.run_for(30)

    assert env.states() == {DeliveryState.DELIVERED: WIDTH + 1}


def test_a_worker_that_dies_while_it_calls_leaves_the_event_to_another(env: Environment) -> None:
    callback = env.add()
    [event] = env.happen()
    env.dispatch.run()
    # A worker takes the callback, and is never heard of again.
    assert env.callbacks.hold(callback.callback_id, "dead", env.clock.now(), env.clock.now() + HOLD) is not None

    env.run_for(HOLD.total_seconds() - 5)
    assert env.endpoints.calls == []
    env.run_for(10)

    assert env.endpoints.sent() == [event.event_id]


def test_a_message_that_is_lost_is_published_again(env: Environment) -> None:
    env.add()
    env.happen()
    assert env.dispatch.run() == 1
    assert env.dispatch.run() == 0

    env.clock.advance(30)
    env.run()

    assert len(env.endpoints.calls) == 1


def test_a_message_that_comes_twice_or_of_nobody_does_nothing(env: Environment) -> None:
    callback = env.add()
    env.happen()
    env.run()

    assert env.sending.run(callback.callback_id).delivered == 0
    assert env.sending.run("f" * 32).delivered == 0
    assert len(env.endpoints.calls) == 1


def test_without_its_secret_nothing_is_sent_and_nothing_is_lost(env: Environment) -> None:
    callback = env.add(secrets=(CallbackSecret(None, env.clock.now()),))
    with capture_logs() as logs:
        for _ in range(60):
            env.happen()
            env.run_for(10)
    assert (env.endpoints.calls, env.callback().failures) == ([], 0)
    assert {(each.state, each.tried) for each in env.deliveries.search("a" * 32, 99)} == {(DeliveryState.PENDING, 0)}
    # Once a minute, however many events come.
    assert 9 <= [each["event"] for each in logs].count("callback_secret_unreadable") <= 11

    env.administration.rotate("key k-1", callback.callback_id, "acme")
    env.run_for(10, 1)

    assert env.states() == {DeliveryState.DELIVERED: 60}


class StoreWithoutKeys:
    """The store as a process sees it that has not the keys which the secrets were kept with."""

    def __init__(self, callbacks: MemoryCallbackStore) -> None:
        self._callbacks = callbacks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._callbacks, name)

    def hold(self, *arguments: Any) -> CallbackLease | None:
        lease = self._callbacks.hold(*arguments)
        if lease is None:
            return None
        secrets = tuple(replace(secret, value=None) for secret in lease.callback.secrets)
        return replace(lease, callback=replace(lease.callback, secrets=secrets))


def test_a_worker_without_the_keys_keeps_no_other_from_sending(env: Environment) -> None:
    callback = env.add()
    callbacks: Any = StoreWithoutKeys(env.callbacks)
    without_keys = env.worker(callbacks)
    [first] = env.happen()
    env.dispatch.run()

    without_keys.run(callback.callback_id)

    assert (env.endpoints.calls, env.callback()) == ([], callback)
    # It is not brought back without a pause, should all be like this one; but soon, for others.
    env.run()
    assert env.endpoints.calls == []
    env.run_for(5, 1)
    assert env.endpoints.sent() == [first.event_id]
    # And what happens next brings it at once.
    env.happen()
    env.dispatch.run()
    without_keys.run(callback.callback_id)
    env.happen()
    env.run()
    assert env.states() == {DeliveryState.DELIVERED: 3}


def test_a_callback_that_has_nothing_due_is_not_looked_at_because_its_secret_can_not_be_read(env: Environment) -> None:
    env.add(secrets=(CallbackSecret(None, env.clock.now()),))
    env.callbacks.wake(["a" * 32], env.clock.now())
    env.run()

    env.run_for(120)

    assert env.published == []


def test_what_happens_while_a_callback_rests_is_sent_after_its_rest(env: Environment) -> None:
    env.add(not_before=env.clock.now() + timedelta(seconds=60))
    # Somebody looks while nothing is due.
    env.sending.run("a" * 32)
    env.happen()

    env.run_for(50)
    assert env.endpoints.calls == []
    env.run_for(20)

    assert env.states() == {DeliveryState.DELIVERED: 1}


def test_a_test_event_is_sent_whatever_the_callback_asks_for(env: Environment) -> None:
    callback = env.add(statuses=frozenset({Status.FAILED}))

    delivery = env.administration.test(callback.callback_id, "acme")
    env.run()

    [(_, headers, body)] = env.endpoints.calls
    assert headers["webhook-id"] == delivery.event_id
    assert json.loads(body)["type"] == "callback.test"


def test_one_event_is_sent_again_on_request(env: Environment) -> None:
    callback = env.add()
    [event] = env.happen()
    env.run()

    env.administration.resend(callback.callback_id, "acme", event.event_id)
    env.run()

    assert env.endpoints.sent() == [event.event_id] * 2


def test_what_was_delivered_is_sent_again_only_when_that_is_asked_for(env: Environment) -> None:
    callback = env.add()
    since = env.clock.now()
    env.happen(3)
    env.run()

    assert env.administration.resend_since(callback.callback_id, "acme", since).count == 0
    assert env.administration.resend_since(callback.callback_id, "acme", since, includes_delivered=True).count == 3
    env.run()

    assert len(env.endpoints.calls) == 6


def test_after_a_rotation_both_secrets_sign_until_the_overlap_is_over(env: Environment) -> None:
    callback = env.add()
    env.administration.rotate("key k-1", callback.callback_id, "acme")
    env.happen()
    env.run()
    env.clock.advance(25 * 3600)
    env.happen()
    env.run()

    counts = [len(headers["webhook-signature"].split(" ")) for _, headers, _ in env.endpoints.calls]
    assert counts == [2, 1]
