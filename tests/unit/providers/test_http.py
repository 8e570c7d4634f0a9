"""The http provider: what it sends, and what each answer means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import MappingProxyType

import pytest
from structlog.testing import capture_logs

from tests.unit.providers.conftest import URL, Environment, both_ways, gateway
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.errors import ProvidersFileError
from wavecom.providers.file import parse_providers
from wavecom.providers.gateway.answers import AnswerRule
from wavecom.providers.transport import NotSentError, Response, TransportFault, UnclearError
from wavecom.routing.pause import PauseRequest

NewMessage = Callable[..., Message]


# --- What is sent -------------------------------------------------------------------------------------------------


def test_the_job_is_sent_as_json_under_its_delivery_key(environment: Environment, new_message: NewMessage) -> None:
    message = new_message(
        Channel.SMS, attempt=2, delivery_key="job-1:3", replays=3, to=MappingProxyType({"phone": "+4915112345678"})
    )

    gateway(environment, headers={"Authorization": "Bearer t"}).send(message)

    [request] = environment.transport.requests
    assert json.loads(request.body) == {
        "jobId": message.job_id,
        "reference": f"{message.job_id}_3",
        "type": "sms",
        "to": {"phone": "+4915112345678"},
        "payload": {"text": "Your code is 123456."},
        "metadata": {"order": "A-17"},
        "attempt": 2,
    }
    assert request.url == URL
    assert request.headers == {
        "Content-Type": "application/json",
        "Idempotency-Key": "job-1:3",
        "Authorization": "Bearer t",
    }
    assert request.timeout_seconds == 5


def test_every_script_and_emoji_arrives_as_utf8(environment: Environment, new_message: NewMessage) -> None:
    text = "Grüße — مرحبا — שלום — 你好 — 👩‍👩‍👧‍👦 \u0000\u2028"

    gateway(environment).send(new_message(Channel.SMS, payload={"text": text}))

    assert json.loads(environment.transport.requests[0].body.decode("utf-8"))["payload"]["text"] == text


@pytest.mark.parametrize("poison", ["\ud800", 2**70, {"a"}, {1: object()}])
def test_what_is_not_json_is_rejected_instead_of_tried_for_ever(
    environment: Environment, new_message: NewMessage, poison: object
) -> None:
    answer = gateway(environment).send(new_message(metadata={"poison": poison}))

    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "unsendable")
    assert environment.transport.requests == []


# --- What an answer means -----------------------------------------------------------------------------------------

#: Ends a message for good: only what is about this message.
ABOUT_THE_MESSAGE = {400, 410, 413, 422, 451}
#: The same for every message, until somebody mends the providers file or the account: told in the log.
OUR_TROUBLE = {*range(300, 400), *range(401, 408), 421, 426, 431, 511, 404, 411, 412, 414, 415, 417, 418, 428, 498, 499}
MEANINGS = {
    Outcome.ACCEPTED: {200, 201, 202, 203, 204, 206, 207, 299},
    Outcome.UNAVAILABLE: (OUR_TROUBLE - {408}) | {425, 429, 500, 503, 521, 523, 525, 526},
    Outcome.REJECTED: ABOUT_THE_MESSAGE,
    Outcome.UNKNOWN: {101, 199, 408, 409, 501, 502, 504, 505, 507, 508, 520, 522, 524, 599, 600, 999, 0, -1, 99},
}


@pytest.mark.parametrize(
    ("status", "outcome"), [(status, key) for key, value in MEANINGS.items() for status in sorted(value)]
)
def test_a_status_has_a_meaning(
    environment: Environment, new_message: NewMessage, status: int, outcome: Outcome
) -> None:
    environment.transport.script = Response(status, {}, b"")

    answer = gateway(environment).send(new_message())

    assert answer.outcome is outcome
    assert answer.code == f"http_{status}"


@pytest.mark.parametrize("status", [200, 400, 408, 425, 429, 500, 502, 503, 504])
def test_under_stop_only_500_changes_its_meaning(
    environment: Environment, new_message: NewMessage, status: int
) -> None:
    environment.transport.script = Response(status, {}, b"")
    provider = gateway(environment)

    usual = provider.send(new_message()).outcome
    under_stop = provider.send(new_message(stops_on_unknown=True)).outcome

    assert under_stop is (Outcome.UNKNOWN if status == 500 else usual)


@pytest.mark.parametrize("fault", TransportFault)
def test_a_call_that_sent_nothing_is_unavailable(
    environment: Environment, new_message: NewMessage, fault: TransportFault
) -> None:
    environment.transport.script = NotSentError(fault)

    answer = gateway(environment).send(new_message(stops_on_unknown=True))

    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, fault.value)


@pytest.mark.parametrize("fault", TransportFault)
def test_a_call_without_an_answer_is_unknown(
    environment: Environment, new_message: NewMessage, fault: TransportFault
) -> None:
    environment.transport.script = UnclearError(fault)

    answer = gateway(environment).send(new_message())

    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, fault.value)


@pytest.mark.parametrize(
    ("lists", "status", "outcome"),
    [
        ({"rejected": (403, 404)}, 403, Outcome.REJECTED),
        ({"rejected": (403, 404)}, 401, Outcome.UNAVAILABLE),
        ({"rejected": ("4xx",)}, 418, Outcome.REJECTED),
        ({"rejected": ("4xx",)}, 401, Outcome.UNAVAILABLE),
        ({"unavailable": (422,)}, 422, Outcome.UNAVAILABLE),
        ({"unavailable": (422,)}, 400, Outcome.REJECTED),
        ({"rejected": (500,)}, 500, Outcome.REJECTED),
        ({"accepted": (409,)}, 409, Outcome.ACCEPTED),
        ({"unknown": ("2xx",), "accepted": (202,)}, 202, Outcome.ACCEPTED),
        ({"unknown": ("2xx",), "accepted": (202,)}, 200, Outcome.UNKNOWN),
        ({"unavailable": ("5xx",)}, 501, Outcome.UNAVAILABLE),
        ({"unavailable": ("5xx",)}, 502, Outcome.UNKNOWN),
    ],
)
def test_the_providers_file_changes_the_statuses_it_names(
    environment: Environment,
    new_message: NewMessage,
    lists: dict[str, tuple[int | str, ...]],
    status: int,
    outcome: Outcome,
) -> None:
    environment.transport.script = Response(status, {}, b"")

    assert gateway(environment, **lists).send(new_message()).outcome is outcome


def test_a_500_declared_as_rejected_stays_so_under_stop(environment: Environment, new_message: NewMessage) -> None:
    environment.transport.script = Response(500, {}, b"")

    assert gateway(environment, rejected=(500,)).send(new_message(stops_on_unknown=True)).outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b'{"id": "m-1"}', "m-1"),
        (b'{"messageId": "m-2", "x": [1]}', "m-2"),
        (b'{"message_id": 77}', "77"),
        (b'{"id": null, "messageId": "m-3"}', "m-3"),
        (b'{"id": {"nested": 1}}', None),
        (b'{"id": ""}', None),
        (b'{"status": "ok"}', None),
        (b'["m-1"]', None),
        (b"queued", None),
        (b'{"id": "m', None),
        (b"\xff\xfe", None),
        (b"", None),
        (b'{"id": "' + b"x" * 500 + b'"}', "x" * 200),
        (b'{"id": true}', None),
        (b'{"id": 1e400}', None),
        (b'{"id": "a\\u0000b\\r\\n\\u202ec"}', "abc"),
        (b'{"id": "\\u0007"}', None),
        (b'{"id":' * 5000, None),
    ],
)
def test_the_message_id_is_read_where_there_is_one(
    environment: Environment, new_message: NewMessage, body: bytes, message_id: str | None
) -> None:
    environment.transport.script = Response(202, {}, body)

    answer = gateway(environment).send(new_message())

    assert (answer.outcome, answer.message_id) == (Outcome.ACCEPTED, message_id)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("999999999999999999999", 86_400),
        ("Sun, 22 Nov 2026 12:01:30 GMT", 90),
        ("Sunday, 22-Nov-26 12:01:30 GMT", 90),
        ("Sun, 22 Nov 2026 12:01:30 -0000", 90),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 22 Nov 2999 12:00:00 GMT", 86_400),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("0000000000000000000000007", 7),
        ("9" * 100_000, 86_400),
        ("Fri, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Fri, 01 Jan 2027 00:00:00 +99999999999999999999", None),
        ("Fri, 01 Jan 2027 00:00:00 -99999999999999999999", None),
        ("Fri, 99 Jan 2027 00:00:00 GMT", None),
        ("Fri, 01 Jan 9999 23:59:59 -2359", 86_400),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("Fri, 01 Jan 2027 99:99:99 GMT", None),
        ("Fri, " + "01 " * 50_000, None),
        (", " * 30, None),
        ("\x00", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 502])
def test_retry_after_is_honoured(
    environment: Environment, new_message: NewMessage, value: str, seconds: float | None, status: int
) -> None:
    environment.transport.script = Response(status, {"retry-after": value}, b"")

    assert gateway(environment).send(new_message()).retry_after_seconds == seconds


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 405, 407])
def test_one_refusal_of_our_account_holds_nobody_for_as_long_as_it_says(
    environment: Environment, new_message: NewMessage, status: int
) -> None:
    environment.transport.script = Response(status, {"retry-after": "99999999999999"}, b"")

    answer = gateway(environment).send(new_message())

    assert PauseRequest.of(answer, "somebody") is None


def test_an_answer_tells_nothing_of_body_headers_or_recipient(
    environment: Environment, new_message: NewMessage
) -> None:
    environment.transport.script = Response(422, {"x": "ada@example.org"}, b'{"error": "ada@example.org is unknown"}')

    answer = gateway(environment, headers={"Authorization": "Bearer s3cret"}).send(new_message())

    assert answer.message.startswith("HTTP 422 Unprocessable")  # newer Pythons call it content, older ones entity


def test_repetitions_are_dropped_by_the_gateway_unless_the_file_denies_it(environment: Environment) -> None:
    assert gateway(environment).is_idempotent
    assert not gateway(environment, is_idempotent=False).is_idempotent


@pytest.mark.parametrize(
    ("script", "scope"),
    [
        *[(Response(status, {}, b""), Scope.PROVIDER) for status in (301, 401, 402, 403, 404, 405, 407, 426)],
        *[(Response(status, {}, b""), Scope.MESSAGE) for status in (400, 409, 410, 413, 422, 425)],
        *[(Response(status, {}, b""), None) for status in (418, 429, 500, 503, 504)],
        (NotSentError(TransportFault.CONNECT), Scope.PROVIDER),
        (NotSentError(TransportFault.NOT_BEGUN), Scope.WORKER),
        (NotSentError(TransportFault.NOT_BEGUN, is_bug=True), None),
        (UnclearError(TransportFault.TIMEOUT), None),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_an_answer_says_whom_it_concerns(
    environment: Environment, new_message: NewMessage, script: Response | Exception, scope: Scope | None
) -> None:
    environment.transport.script = script

    assert both_ways(gateway(environment), new_message(Channel.SMS)).scope is scope


@pytest.mark.parametrize("status", sorted(OUR_TROUBLE - {408}))
def test_our_trouble_is_told_once_a_minute_with_what_to_check(
    environment: Environment, new_message: NewMessage, status: int
) -> None:
    environment.transport.script = Response(status, {}, b"ada@example.org")
    provider = gateway(environment)

    with capture_logs() as logs:
        for second in range(0, 90, 2):
            environment.clock.seconds = second
            provider.send(new_message())

    assert [(line["event"], line["provider"], line["status"]) for line in logs] == [
        ("provider_refuses_us", "gateway", status)
    ] * 2
    assert [line["answers"] for line in logs] == [1, 30]
    # The breaker that it opens tells of trouble of our account, once for all processes.
    assert {line["log_level"] for line in logs} == {"warning" if status in {401, 402} else "error"}
    assert "check" in logs[0]["check"]


@pytest.mark.parametrize("status", [200, 400, 408, 409, 410, 413, 422, 425, 429, 500, 502, 503])
def test_what_is_no_trouble_of_ours_is_not_told(environment: Environment, new_message: NewMessage, status: int) -> None:
    environment.transport.script = Response(status, {}, b"")

    with capture_logs() as logs:
        gateway(environment).send(new_message())

    assert logs == []


def test_what_the_file_calls_rejected_is_no_trouble_of_ours(environment: Environment, new_message: NewMessage) -> None:
    environment.transport.script = Response(404, {}, b"")

    with capture_logs() as logs:
        gateway(environment, rejected=(404,)).send(new_message())

    assert logs == []


# --- Its table in the providers file ------------------------------------------------------------------------------

ROUTES = '\n[routes]\nemail = ["gw"]\nsms = ["gw"]\npush = ["gw"]\n'


def problems_of(lines: str) -> list[tuple[str, str]]:
    with pytest.raises(ProvidersFileError) as caught:
        parse_providers('[providers.gw]\ntype = "http"\n' + lines + ROUTES, {})
    return [(problem.where, problem.message) for problem in caught.value.problems]


def test_the_table_is_read_with_secrets_from_the_environment_that_are_never_shown() -> None:
    source = """
        [providers.gw]
        type = "http"
        url = "$URL"
        headers = { Authorization = "$TOKEN", X-Price = "$$5" }
        unavailable = ["3xx", 401]
    """

    config = parse_providers(source + ROUTES, {"URL": "http://u:pass@127.0.0.1/x", "TOKEN": "Bearer s3cret"})

    options = config.providers["gw"].options
    assert options.url == "http://u:pass@127.0.0.1/x"
    assert options.headers == {"Authorization": "Bearer s3cret", "X-Price": "$5"}
    assert options.unavailable == ("3xx", 401)
    assert "s3cret" not in repr(config)
    assert "pass" not in repr(config)
    assert "s3cret" not in repr(options)


@pytest.mark.parametrize(
    "lines",
    [
        'url = "https://gw.example/"\nheaders = { Authorization = "Bearer x" }',
        'url = "http://127.0.0.1:9/"\nheaders = { Authorization = "Bearer x" }',
        'url = "http://[::1]/"\nheaders = { Authorization = "Bearer x" }',
        'url = "http://localhost/"\nheaders = { X-Api-Key = "x" }',
        'url = "http://gw.example/"\nheaders = { X-Author = "x", X-Monkey = "x" }',
        'url = "http://gw.example/"\nheaders = { X-Kind = "Bearer", X-Title = "basics of tokens" }',
        'url = "http://gw.example/"\nheaders = { Authorization = "x" }\nallow_plain_credentials = true',
    ],
)
def test_credentials_go_where_nobody_reads_them(lines: str) -> None:
    config = parse_providers('[providers.gw]\ntype = "http"\n' + lines + ROUTES, {})

    assert config.providers["gw"].options.url


OPEN = "providers.gw.url: would let the header "


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("", 1, 'providers.gw: needs the key "url"'),
        ('url = "gateway.example"', 3, "providers.gw.url: must be an address"),
        ('url = "ftp://gateway.example"', 3, "providers.gw.url: must be an address"),
        ('url = "http://gateway.example:port/"', 3, "providers.gw.url: must be an address"),
        ('url = "http://gätewäy.example/"', 3, "providers.gw.url: must be an address"),
        ('url = "http://a b/"', 3, "providers.gw.url: must be an address"),
        ('url = ""', 3, "providers.gw.url: must be an address"),
        ("url = 5", 3, "providers.gw.url: must be text in quotes"),
        ('url = "http://a/"\nheaders = "x"', 4, "providers.gw.headers: must be a table"),
        ('url = "http://a/"\nheaders = { "a b" = "c" }', 4, "providers.gw.headers.a b: is not a header's name"),
        ('url = "http://a/"\n[providers.gw.headers]\nHost = "c"', 5, "providers.gw.headers.Host: is set by WaveCom"),
        ('url = "http://a/"\nheaders = { a = "b\\r\\nc: d" }', 4, "providers.gw.headers.a: must be one line of"),
        ('url = "http://a/"\nheaders = { a = 3 }', 4, "providers.gw.headers.a: must be text in quotes"),
        ('url = "http://a/"\nca_file = "/no/such"', 4, "providers.gw.ca_file: must be the path of a readable PEM"),
        ('url = "http://a/"\nrejected = ["2XX"]', 4, "providers.gw.rejected: must be a status from 100 to 599"),
        ('url = "http://a/"\nrejected = [\n200,\n99]', 6, "providers.gw.rejected: must be a status from 100 to 599"),
        ('url = "http://a/"\nrejected = 400', 4, 'providers.gw.rejected: must be a list such as ["2xx", 429]'),
        ('url = "http://a/"\naccepted = [200]\nunknown = [200]', 5, "providers.gw.unknown: 200 stands in accepted too"),
        ('url = "http://a/"\nis_idempotent = "maybe"', 4, "providers.gw.is_idempotent: must be true or false"),
        ('url = "http://a/?api_key=1"', 3, "providers.gw.url: would let api_key in url be read on its way; use https"),
        (
            'url = "http://a/"\nheaders = { X-Gateway = "bearer x" }',
            3,
            "providers.gw.url: would let the header X-Gateway be read on its way; use https",
        ),
        ('url = "http://me:pw@a/"', 3, "providers.gw.url: would let the user in url be read on its way"),
        ('url = "http://10.0.0.7/"\nheaders = { Authorization = "Bearer x" }', 3, OPEN + "Authorization be read"),
        ('url = "http://localhost.example/"\nheaders = { X-Api-Key = "x" }', 3, OPEN + "X-Api-Key be read"),
        ('url = "http://a/"\nheaders = { x-auth-token = "x" }', 3, OPEN + "x-auth-token be read"),
        ('url = "http://a/"\nuri = "x"', 4, 'providers.gw.uri: is not known here; did you mean "url"?'),
    ],
)
def test_a_wrong_table_is_told_by_line(lines: str, line: int, message: str) -> None:
    [(where, said)] = problems_of(lines)

    assert where == f"providers.toml:{line}"
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("sender", "scope", "is_final_here"),
    [({}, Scope.PROVIDER, False), ({"senderId": "SHOP"}, Scope.MESSAGE, True)],
)
def test_a_sender_that_a_message_chose_itself_closes_nothing_by_a_rule_either(
    environment: Environment, new_message: NewMessage, sender: dict[str, str], scope: Scope, is_final_here: bool
) -> None:
    environment.transport.script = Response(200, {}, b'{"error": "unknown sender"}')
    rule = AnswerRule(outcome="unavailable", text=re.compile("unknown sender"), reason="sender")
    message = new_message(Channel.SMS, payload={"text": "Hello"} | sender)

    answer = both_ways(gateway(environment, answers=(rule,)), message)

    assert (answer.outcome, answer.reason) == (Outcome.UNAVAILABLE, Reason.SENDER)
    assert (answer.scope, answer.is_final_here) == (scope, is_final_here)
