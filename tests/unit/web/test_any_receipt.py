"""Whatever comes to the address of receipts: no 5xx, no change without a signature, one end whatever the order."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import make_job
from tests.gateway_receipts import events_body, receipts_table, signed
from tests.receipt_requests import sms_reader
from tests.unit.providers.receipts import test_any_bytes, test_any_request
from tests.unit.web.conftest import NOW, WebEnvironment, make_environment
from wavecom.core.job import Job
from wavecom.core.states import Status
from wavecom.providers.file import parse_providers
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.http import HttpReceipts
from wavecom.providers.registry import RECEIPTS

TABLE = '[routes]\nsms = ["gw"]\n[providers.gw]\ntype = "http"\nurl = "https://gateway.example/"\n'

paths = st.sampled_from(["/receipts/gw", "/receipts/other", "/receipts/", "/receipts/gw/", "//receipts/gw"])
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
texts = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60)
headers = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "Content-Type", "Authorization"]), texts
)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
events = st.dictionaries(
    st.sampled_from(["id", "status", "reference", "message", "at", "error", "to", "from", "text"]),
    st.sampled_from(["DELIVRD", "UNDELIV", "ACCEPTD", "MO", "SPAM"]) | json_values,
)
bodies = st.binary(max_size=300) | st.lists(events, max_size=4).map(events_body)

#: What may follow an end, or the lack of one.
FURTHER = {"DELIVRD": ["SPAM", "OPTOUT", "ACCEPTD"], "UNDELIV": ["ACCEPTD"], None: ["ACCEPTD"]}

_numbers = itertools.count()


def no_fetch(url: str, *, ca_file: str | None = None) -> bytes:
    raise OSError(url)


@cache
def receiving() -> tuple[WebEnvironment, FlaskClient]:
    """One for all examples: each has jobs of its own."""
    config = parse_providers(TABLE + receipts_table("gw"), {}).providers["gw"]
    reader = HttpReceipts(config, ReceiptDependencies(fetch=no_fetch))
    environment = make_environment(readers={"gw": reader})
    return environment, environment.app.test_client()


def sent_jobs(count: int) -> list[Job]:
    environment, _ = receiving()
    jobs = [
        make_job(status=Status.SENT, provider="gw", created_at=NOW, provider_message_id=f"m-{next(_numbers)}")
        for _ in range(count)
    ]
    environment.jobs.insert(jobs)
    return jobs


@settings(deadline=None, max_examples=100)
@given(path=paths, method=methods, given_headers=headers, body=st.binary(max_size=400))
def test_what_nobody_signed_changes_nothing_and_is_never_our_mistake(
    path: str, method: str, given_headers: dict[str, str], body: bytes
) -> None:
    environment, client = receiving()
    [job] = sent_jobs(1)
    kept = (environment.pending.all(), list(environment.unreadable.kept))

    response = client.open(path, method=method, headers=given_headers, data=body)

    assert 400 <= response.status_code < 500
    assert environment.jobs.get(job.job_id) == job
    assert (environment.pending.all(), environment.unreadable.kept) == kept


#: Where providers put what proves that it was they.
SIGNATURES = (
    "Authorization",
    "MessageBird-Signature-JWT",
    "X-Twilio-Signature",
    "X-Twilio-Email-Event-Webhook-Signature",
    "X-Twilio-Email-Event-Webhook-Timestamp",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "webhook-signature",
    "x-amz-sns-message-type",
)


@cache
def receiving_of_all_types() -> tuple[WebEnvironment, FlaskClient]:
    """A web app that takes receipts of one provider of each type, by the type's name."""
    config = parse_providers(TABLE + receipts_table("gw"), {}).providers["gw"]
    readers = {
        **test_any_bytes.READERS,
        **{name: sms_reader(table) for name, table in test_any_request.TABLES.items()},
        "http": HttpReceipts(config, ReceiptDependencies(fetch=no_fetch)),
    }
    assert readers.keys() == RECEIPTS.keys(), "a type without a reader here is not tried at all"
    environment = make_environment(readers=readers)
    return environment, environment.app.test_client()


@pytest.mark.parametrize("type_name", RECEIPTS)
@settings(deadline=None, max_examples=40)
@given(
    method=methods,
    query=st.text(st.characters(codec="ascii", exclude_characters="\r\n\0#"), max_size=40),
    given_headers=st.dictionaries(st.sampled_from([*SIGNATURES, "Content-Type"]), texts | st.just("Bearer a.b.c")),
    body=st.binary(max_size=300) | test_any_bytes.CONTENT.map(test_any_bytes.as_json) | test_any_request.bodies,
)
def test_whatever_comes_unsigned_to_the_address_of_any_type_changes_nothing_and_is_never_our_mistake(
    type_name: str, method: str, query: str, given_headers: dict[str, str], body: bytes
) -> None:
    environment, client = receiving_of_all_types()
    kept = (environment.pending.all(), list(environment.unreadable.kept))

    response = client.open(
        f"/receipts/{type_name}", method=method, query_string=query, headers=given_headers, data=body
    )

    assert 400 <= response.status_code < 500
    assert (environment.pending.all(), environment.unreadable.kept) == kept


@settings(deadline=None, max_examples=100)
@given(body=bodies)
def test_what_is_signed_is_taken_whatever_it_is(body: bytes) -> None:
    _, client = receiving()

    assert client.post("/receipts/gw", data=body, headers=signed(body, NOW)).status_code == 200


@st.composite
def words_of_messages(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    """(message, number, word) of three messages, each consistent: on its way, then delivered or failed, then more."""
    told: list[tuple[int, int, str]] = []
    for message in range(3):
        end = draw(st.sampled_from(["DELIVRD", "UNDELIV", None]))
        words = ["ACCEPTD"] * draw(st.integers(0, 7)) + ([end] if end else [])
        words += draw(st.lists(st.sampled_from(FURTHER[end]), max_size=3))
        told += [(message, number, word) for number, word in enumerate(words)]
    return told


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[tuple[int, int, str]], list[tuple[int, int, str]]]:
    """The same receipts in their order, and in any, some of them several times."""
    told = draw(words_of_messages())
    again = draw(st.lists(st.sampled_from(told), max_size=6)) if told else []
    return told, list(draw(st.permutations(told + again)))


@settings(deadline=None, max_examples=60)
@given(arrivals=arrivals(), size=st.integers(1, 5))
def test_any_order_and_repetition_of_receipts_ends_in_the_same_state(
    arrivals: tuple[list[tuple[int, int, str]], ...], size: int
) -> None:
    ends = [end_of(arrival, size) for arrival in arrivals]

    assert ends[0] == ends[1]


def end_of(arrival: list[tuple[int, int, str]], size: int) -> list[tuple[Any, ...]]:
    """Where three jobs stand after these receipts, and which of them, mere progress aside, their logs hold."""
    environment, client = receiving()
    jobs = sent_jobs(3)
    told = [
        {"id": f"{message}-{number}", "status": word, "message": jobs[message].provider_message_id}
        for message, number, word in arrival
    ]
    # Ids of events are one job's own here, so that both arrivals can have the same.
    for start in range(0, len(told), size):
        body = events_body(told[start : start + size])
        assert client.post("/receipts/gw", data=body, headers=signed(body, NOW)).status_code == 200
    found = [environment.jobs.get(job.job_id) for job in jobs]
    return [
        (
            job.status,
            job.error,
            sorted(str(entry.receipt_id) for entry in job.logs if entry.receipt_id and entry.outcome != "progress"),
        )
        for job in found
        if job is not None
    ]
