"""The base of providers over HTTP: what a response means whatever it holds, and both ways to call a provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.unit.providers.conftest import URL, Environment, both_ways, gateway, message_for
from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message, NotBegunError
from wavecom.providers.base import UnsendableError
from wavecom.providers.base_http import form_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.http import HttpOptions, HttpProvider
from wavecom.providers.responses import AnswerMeaning, AnswerTable
from wavecom.providers.transport import HttpVersion, NotSentError, Request, Response, TransportFault, UnclearError

NewMessage = Callable[..., Message]


# --- What a provider says can't hurt --------------------------------------------------------------------------------


class RaisingProvider(HttpProvider):
    """Trips over every answer."""

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        raise ValueError(f"can't read {response.body!r}")


class BodyDecidesProvider(HttpProvider):
    """Success hides in the body."""

    body_decides = True

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        answer = super().interpret(response, message)
        if answer.outcome is Outcome.ACCEPTED and orjson.loads(response.body)["status"] != "0":
            return ProviderResult(Outcome.REJECTED, "refused")
        return answer


def made(kind: type[HttpProvider], environment: Environment) -> HttpProvider:
    return kind(ProviderConfig(name="gateway", type="http", options=HttpOptions(url=URL)), environment.dependencies())


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Outcome.ACCEPTED), (422, Outcome.REJECTED), (429, Outcome.UNAVAILABLE), (504, Outcome.UNKNOWN)],
)
def test_a_bug_in_reading_an_answer_keeps_the_status_and_is_told_once(
    environment: Environment, new_message: NewMessage, status: int, outcome: Outcome
) -> None:
    environment.transport.script = Response(status, {}, b"ada@example.org")
    provider = made(RaisingProvider, environment)

    with capture_logs() as logs:
        answers = {both_ways(provider, new_message(Channel.SMS)) for _ in range(3)}

    assert [(answer.outcome, answer.code) for answer in answers] == [(outcome, f"http_{status}")]
    [line] = logs
    assert (line["event"], line["provider"], line["error"]) == ("answer_unreadable", "gateway", "ValueError")
    assert line["at"].startswith("test_base_http.py:")
    assert "ada@" not in str(logs)


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (Response(200, {}, b'{"status": "0"}'), Outcome.ACCEPTED),
        (Response(200, {}, b'{"status": "7"}'), Outcome.REJECTED),
        (Response(200, {}, b"<html>"), Outcome.UNKNOWN),
        (Response(200, {}, b'{"status": "0"}', is_complete=False), Outcome.UNKNOWN),
        (Response(401, {}, b"<html>", is_complete=False), Outcome.UNAVAILABLE),
        (Response(422, {}, b"", is_complete=False), Outcome.REJECTED),
    ],
)
def test_where_the_body_decides_success_needs_a_whole_and_readable_one(
    environment: Environment, new_message: NewMessage, response: Response, outcome: Outcome
) -> None:
    environment.transport.script = response

    with capture_logs():
        assert both_ways(made(BodyDecidesProvider, environment), new_message(Channel.SMS)).outcome is outcome
    assert all(request.waits_for_body for request in environment.transport.requests)


def test_what_a_subclass_can_not_do_is_said_when_it_is_declared() -> None:
    with pytest.raises(TypeError, match="override interpret"):
        type("Wrong", (HttpProvider,), {"send": lambda self, message: None})


def test_a_request_is_of_the_http_version_that_its_provider_declares(
    environment: Environment, new_message: NewMessage
) -> None:
    class Modern(HttpProvider):
        http_version = HttpVersion.HTTP_2

    for kind, version in ((Modern, HttpVersion.HTTP_2), (HttpProvider, HttpVersion.HTTP_1_1)):
        environment.transport.requests.clear()
        both_ways(made(kind, environment), new_message())

        assert [request.http_version for request in environment.transport.requests] == [version, version]


@settings(max_examples=300)
@given(
    status=st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "content-type", "content-length", "date", "set-cookie"]),
        st.one_of(
            st.binary(max_size=60).map(lambda data: data.decode("latin-1")),
            st.from_regex(r"\A\w{3}, \d+ (Jan|Feb) \d+ \d+:\d+:\d+ ([+-]\d+|GMT)\Z"),
        ),
    ),
    body=st.one_of(
        st.binary(),
        st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists).map(
            lambda value: json.dumps({"id": value, "messageId": value}).encode()
        ),
    ),
    is_complete=st.booleans(),
)
def test_any_bytes_of_an_answer_leave_the_meaning_of_its_status(
    status: int, headers: dict[str, str], body: bytes, is_complete: bool
) -> None:
    environment = Environment()
    environment.transport.script = Response(status, headers, body, is_complete)
    provider = made(HttpProvider, environment)
    message = message_for(Channel.SMS)

    with capture_logs() as logs:
        answer = both_ways(provider, message)

    assert answer.outcome is provider.answers.outcome(status)
    assert answer.code == f"http_{status}"
    assert answer.retry_after_seconds is None or 0 <= answer.retry_after_seconds <= 86_400
    assert answer.message_id is None or (len(answer.message_id) <= 200 and answer.message_id.isprintable())
    assert "answer_unreadable" not in {line["event"] for line in logs}


# --- Without waiting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        Response(200, {}, b'{"id": "m-1"}'),
        Response(400, {}, b""),
        Response(503, {"retry-after": "7"}, b""),
        NotSentError(TransportFault.CONNECT),
        UnclearError(TransportFault.TIMEOUT),
    ],
    ids=lambda script: type(script).__name__,
)
def test_a_started_call_means_what_a_sent_one_does(
    environment: Environment, new_message: NewMessage, script: Response | NotSentError | UnclearError
) -> None:
    environment.transport.script = script
    answers: list[object] = []

    assert gateway(environment).start(new_message(Channel.SMS), answers.append)

    assert answers == [gateway(environment).send(new_message(Channel.SMS))]
    assert environment.transport.requests[0] == environment.transport.requests[1]


def test_a_message_that_can_not_be_sent_is_answered_when_it_is_started(
    environment: Environment, new_message: NewMessage
) -> None:
    answers: list[object] = []

    assert gateway(environment).start(new_message(Channel.SMS, payload={"text": "\ud800"}), answers.append)

    assert [getattr(answer, "code", None) for answer in answers] == ["unsendable"]
    assert environment.transport.requests == []


def test_a_bug_of_the_transport_is_handed_on(environment: Environment, new_message: NewMessage) -> None:
    bug = ValueError("a bug")
    environment.transport.script = bug
    answers: list[object] = []

    assert gateway(environment).start(new_message(Channel.SMS), answers.append)

    assert answers == [bug]


def test_a_bug_in_making_the_request_is_told_from_one_in_the_middle_of_a_call(
    environment: Environment, new_message: NewMessage
) -> None:
    class Buggy(HttpProvider):
        def request(self, message: Message) -> Request:
            raise KeyError("a bug")

    usual = gateway(environment)
    provider = Buggy(usual.config, usual.dependencies)

    with pytest.raises(NotBegunError) as caught:
        provider.send(new_message(Channel.SMS))

    assert isinstance(caught.value.__cause__, KeyError)
    assert environment.transport.requests == []


def test_memory_that_runs_out_after_the_answer_leaves_an_unknown_outcome(
    environment: Environment, new_message: NewMessage
) -> None:
    class Full(AnswerTable):
        def meaning(self, status: int, code: str | None = None) -> AnswerMeaning:
            raise MemoryError

    provider = gateway(environment)
    provider.answers = Full({})

    assert provider.send(new_message(Channel.SMS)).outcome is Outcome.UNKNOWN


# --- What a provider's own code says --------------------------------------------------------------------------------


class BodyCodeProvider(HttpProvider):
    """Says in the body what it means."""

    def answer_code(self, response: Response) -> str | None:
        return str(orjson.loads(response.body)["code"])


CODES = AnswerTable(
    {"2xx": Outcome.ACCEPTED, "4xx": Outcome.REJECTED},
    codes={
        "20003": AnswerMeaning.account(Reason.CREDENTIALS, "check the token"),
        "21606": AnswerMeaning.account(Reason.SENDER, "check the sender"),
        "21211": AnswerMeaning.recipient(Reason.RECIPIENT_INVALID),
    },
)


def coded(environment: Environment) -> HttpProvider:
    provider = made(BodyCodeProvider, environment)
    provider.answers = CODES
    return provider


def test_a_code_that_the_table_names_counts_more_than_the_status(
    environment: Environment, new_message: NewMessage
) -> None:
    environment.transport.script = Response(400, {}, b'{"code": 21211, "message": "to ada@example.org"}')

    answer = both_ways(coded(environment), new_message(Channel.SMS))

    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "http_21211")
    assert (answer.scope, answer.reason) == (Scope.RECIPIENT, Reason.RECIPIENT_INVALID)
    assert "ada" not in repr(answer)


def test_trouble_of_the_account_is_everybodys_and_is_told_once(
    environment: Environment, new_message: NewMessage
) -> None:
    environment.transport.script = Response(400, {}, b'{"code": 20003}')
    provider = coded(environment)

    with capture_logs() as logs:
        answers = [provider.send(new_message(Channel.SMS)) for _ in range(3)]

    assert {(each.outcome, each.scope, each.reason) for each in answers} == {
        (Outcome.UNAVAILABLE, Scope.PROVIDER, Reason.CREDENTIALS)
    }
    assert [(line["event"], line["check"]) for line in logs] == [("provider_refuses_us", "check the token")]


@pytest.mark.parametrize("body", [b'{"code": 99999}', b"<html>", b"[]", b""])
def test_where_no_code_is_known_the_status_counts(
    environment: Environment, new_message: NewMessage, body: bytes
) -> None:
    environment.transport.script = Response(422, {}, body)

    answer = coded(environment).send(new_message(Channel.SMS))

    assert (answer.outcome, answer.code, answer.reason) == (Outcome.REJECTED, "http_422", None)


# --- What can't be sent ---------------------------------------------------------------------------------------------


class ShortTextProvider(HttpProvider):
    """Takes short texts only."""

    def request(self, message: Message) -> Request:
        raise UnsendableError("text: at most 100 characters", is_final_here=bool(message.metadata["is_final_here"]))


@pytest.mark.parametrize(
    ("is_final_here", "outcome"), [(False, Outcome.REJECTED), (True, Outcome.UNAVAILABLE)], ids=["never", "not here"]
)
def test_what_another_provider_may_be_able_to_send_is_not_rejected(
    environment: Environment, new_message: NewMessage, is_final_here: bool, outcome: Outcome
) -> None:
    provider = made(ShortTextProvider, environment)

    answer = both_ways(provider, new_message(metadata={"is_final_here": is_final_here}))

    assert answer == ProviderResult(
        outcome, "unsendable", "text: at most 100 characters", scope=Scope.MESSAGE, is_final_here=is_final_here
    )
    assert environment.transport.requests == []


def test_a_form_leaves_out_what_is_none_and_keeps_what_is_empty() -> None:
    assert form_body({"to": "+49 é", "a": None, "b": ""}) == b"to=%2B49+%C3%A9&b="


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_a_form_is_what_the_standard_library_makes_of_it(fields: dict[str, str]) -> None:
    assert form_body(fields) == urlencode(fields).encode()


def test_what_is_no_text_in_utf_8_can_not_be_put_into_a_form() -> None:
    with pytest.raises(UnsendableError):
        form_body({"text": "\ud800"})


@pytest.mark.parametrize(
    ("sender", "scope", "is_final_here"),
    [({}, Scope.PROVIDER, False), ({"senderId": "SHOP"}, Scope.MESSAGE, True)],
)
def test_a_sender_that_a_message_chose_itself_holds_back_no_other(
    environment: Environment, new_message: NewMessage, sender: dict[str, str], scope: Scope, is_final_here: bool
) -> None:
    environment.transport.script = Response(400, {}, b'{"code": 21606}')
    message = new_message(Channel.SMS, payload={"text": "Hello"} | sender)

    with capture_logs() as logs:
        answer = both_ways(coded(environment), message)

    assert (answer.outcome, answer.reason) == (Outcome.UNAVAILABLE, Reason.SENDER)
    assert (answer.scope, answer.is_final_here) == (scope, is_final_here)
    assert ("payload.senderId" in answer.message) is is_final_here
    assert bool(logs) is not is_final_here


def test_a_sender_that_the_route_names_is_trouble_of_the_account(
    environment: Environment, new_message: NewMessage
) -> None:
    environment.transport.script = Response(400, {}, b'{"code": 21606}')
    message = new_message(Channel.SMS, payload={"text": "Hello", "senderId": "SHOP"}, has_route_sender=True)

    answer = both_ways(coded(environment), message)

    assert (answer.outcome, answer.reason) == (Outcome.UNAVAILABLE, Reason.SENDER)
    assert (answer.scope, answer.is_final_here) == (Scope.PROVIDER, False)
