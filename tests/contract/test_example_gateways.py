"""The gateways of ``examples/gateways``, each a real server spoken to by its providers file."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.contract.provider_contract import Outbox
from wavecom.core.job import JobId, Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import AsyncProvider, Message, Provider
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers
from wavecom.providers.file import read_providers_file
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport

FOLDER = Path(__file__).parents[2] / "examples" / "gateways"
SECRETS = {"GATEWAY_USER": "shop", "GATEWAY_PASSWORD": "s3cret", "GATEWAY_SECRET": "s3cret", "GATEWAY_KEY": "s3cret"}
TEXT = 'Ihr Code & <Gruß> "123456" {{ payload }}'


class Clock:
    """This machine's own time: a gateway refuses what was signed long ago."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Gateway:
    provider: Provider
    taken: list[Any]

    def send(self, number: str, **payload: str) -> ProviderResult:
        """Both ways to call it come to the same."""
        message = Message(
            JobId("0198c4a1-0000-7000-8000-000000000001"),
            "key-1",
            Channel.SMS,
            {"phone": number},
            {"text": TEXT, **payload},
            {},
            1,
        )
        result = self.provider.send(message)
        assert isinstance(self.provider, AsyncProvider)
        ended = threading.Event()
        results: list[Any] = []

        def on_result(answer: Any) -> None:
            results.append(answer)
            ended.set()

        if self.provider.start(message, on_result):
            assert ended.wait(20)
            assert (results[0].outcome, results[0].code) == (result.outcome, result.code)
        return result


@contextmanager
def gateway(name: str, transport: HttpTransport, **environment: str) -> Iterator[Gateway]:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with ThreadingHTTPServer(("127.0.0.1", 0), module.Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        values = SECRETS | {"GATEWAY_URL": f"http://127.0.0.1:{server.server_port}/send"} | environment
        config = read_providers_file(FOLDER / f"{name}.toml", values)
        dependencies = ProviderDependencies(transport=transport, outbox=Outbox(), clock=Clock())
        [provider] = build_providers(config, dependencies).values()
        yield Gateway(provider, module.Handler.taken)
        server.shutdown()


@pytest.fixture(params=[CurlTransport, RequestsTransport], ids=lambda kind: kind.__name__)
def transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made: HttpTransport = request.param()
    yield made
    made.close()


Expected = tuple[Outcome, str, Reason | None, Scope | None, float | None]

FORM: Mapping[str, Expected] = {
    "+447700900101": (Outcome.UNAVAILABLE, "http_code_3", Reason.BALANCE, Scope.PROVIDER, None),
    "+447700900102": (Outcome.REJECTED, "http_code_7", Reason.RECIPIENT_INVALID, Scope.RECIPIENT, None),
    "+447700900103": (Outcome.UNAVAILABLE, "http_code_9", None, None, 20),
    "+447700900104": (Outcome.UNKNOWN, "http_200", None, None, None),
}
SIGNED: Mapping[str, Expected] = {
    "+447700900101": (Outcome.UNAVAILABLE, "http_code_sender_unknown", Reason.SENDER, Scope.PROVIDER, None),
    "+447700900102": (Outcome.REJECTED, "http_code_opted_out", Reason.RECIPIENT_OPTED_OUT, Scope.RECIPIENT, None),
    "+447700900103": (Outcome.UNAVAILABLE, "http_code_overloaded", None, None, 15),
    "+447700900105": (Outcome.UNAVAILABLE, "http_code_quota", Reason.QUOTA, Scope.PROVIDER, None),
}
QUERY: Mapping[str, Expected] = {
    "+447700900101": (Outcome.UNAVAILABLE, "http_code_E402", Reason.BALANCE, Scope.PROVIDER, None),
    "+447700900102": (Outcome.REJECTED, "http_code_E17", Reason.RECIPIENT_INVALID, Scope.RECIPIENT, None),
    "+447700900103": (Outcome.UNAVAILABLE, "http_code_E429", None, None, 30),
    "+447700900104": (Outcome.UNAVAILABLE, "http_500", None, None, None),
}


@pytest.mark.parametrize(("name", "rows"), [("form_and_text", FORM), ("signed_json", SIGNED), ("query_and_xml", QUERY)])
def test_each_answer_means_what_the_file_says(
    name: str, rows: Mapping[str, Expected], transport: HttpTransport
) -> None:
    with gateway(name, transport) as spoken_to:
        for number, expected in rows.items():
            answer = spoken_to.send(number)
            found = (answer.outcome, answer.code, answer.reason, answer.scope, answer.retry_after_seconds)
            assert found == expected, number
            assert "7700" not in repr(answer)
        assert spoken_to.taken == []


@pytest.mark.parametrize(
    ("name", "where", "fields"),
    [
        ("form_and_text", ("To", "Text"), {"From": "SHOP"}),
        ("signed_json", ("to", "text"), {"reference": "0198c4a1-0000-7000-8000-000000000001"}),
        ("query_and_xml", ("to", "text"), {"ref": "0198c4a1-0000-7000-8000-000000000001"}),
    ],
)
def test_a_message_arrives_letter_for_letter_with_its_id(
    name: str, where: tuple[str, str], fields: dict[str, str], transport: HttpTransport
) -> None:
    with gateway(name, transport) as spoken_to:
        answer = spoken_to.send("+447700900199")

        assert answer.outcome is Outcome.ACCEPTED
        assert answer.message_id
        taken = spoken_to.taken[0]
        assert [taken[each] for each in where] == ["+447700900199", TEXT]
        assert taken.items() >= fields.items()


@pytest.mark.parametrize("name", ["form_and_text", "signed_json", "query_and_xml"])
def test_a_wrong_secret_is_trouble_of_our_account(name: str, transport: HttpTransport) -> None:
    wrong = dict.fromkeys(("GATEWAY_PASSWORD", "GATEWAY_SECRET", "GATEWAY_KEY"), "wrong")

    with gateway(name, transport, **wrong) as spoken_to:
        answer = spoken_to.send("+447700900199")

        assert (answer.outcome, answer.reason) == (Outcome.UNAVAILABLE, Reason.CREDENTIALS)
        assert spoken_to.taken == []


def test_a_sender_of_the_messages_own_is_sent_or_refused_or_declared_to_be_ignored(transport: HttpTransport) -> None:
    for name in ("form_and_text", "signed_json", "query_and_xml"):
        with gateway(name, transport) as spoken_to:
            answer = spoken_to.send("+447700900199", senderId="BANK")

            assert answer.outcome is Outcome.ACCEPTED
            assert ("BANK" in spoken_to.taken[0].values()) is (name != "query_and_xml")
