"""``wavecom providers check`` and ``send-test``, with providers before real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests import peers
from tests.contract.provider_contract import Clock, Outbox
from tests.contract.push_services import key_file, service_account_file, token_server
from tests.peers import HttpPeer
from tests.provider_administration import MemoryProviderAudit
from wavecom.cli import main
from wavecom.core.provider_control import ProviderAction
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.base import BaseProvider, ProviderDependencies
from wavecom.providers.factory import build_providers
from wavecom.providers.file import parse_providers
from wavecom.providers.transport.curl import CurlTransport
from wavecom.services.provider_accounts import ProviderAccounts

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


FCM_TAKES_IT = peers.reply(200, b'{"name": "m"}')


class AccountCommandEnvironment:
    """Services of a providers file with a push provider, one for browsers and a gateway for two channels."""

    def __init__(self, opened: ExitStack, folder: Path, fcm: peers.Behaviour, gateway: peers.Behaviour) -> None:
        google = opened.enter_context(token_server())
        self.fcm = opened.enter_context(HttpPeer(fcm))
        self.gateway = opened.enter_context(HttpPeer(gateway))
        self.audit = MemoryProviderAudit()
        transport = CurlTransport()
        client = HttpAccountClient()
        opened.callback(transport.close)
        opened.callback(client.close)
        source = f"""
            [providers.fcm]
            type = "fcm"
            service_account_file = "{service_account_file(folder, google.url)}"
            base_url = "http://127.0.0.1:{self.fcm.port}"
            [providers.browsers]
            type = "webpush"
            vapid_private_key_file = "{key_file(folder)}"
            vapid_subject = "mailto:ops@example.com"
            [providers.gateway]
            type = "http"
            url = "{self.gateway.url}"
            channels = ["sms", "email"]
            [routes]
            push = ["fcm", "browsers"]
            sms = ["gateway"]
        """
        dependencies = ProviderDependencies(transport=transport, outbox=Outbox(), clock=Clock(), account_client=client)
        providers: dict[str, BaseProvider[object]] = {}
        for name, provider in build_providers(parse_providers(source, {}), dependencies).items():
            assert isinstance(provider, BaseProvider)
            providers[name] = provider
            opened.callback(provider.close)
        self.services = ProviderAccounts(
            providers=providers, client=client, audit=self.audit, clock=Clock(), new_id=lambda: "test-1"
        )

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["providers", *words], obj=self.services)


NewEnvironment = Callable[..., AccountCommandEnvironment]


@pytest.fixture
def new_environment(tmp_path: Path) -> Iterator[NewEnvironment]:
    with ExitStack() as opened:

        def new(fcm: peers.Behaviour = FCM_TAKES_IT) -> AccountCommandEnvironment:
            return AccountCommandEnvironment(opened, tmp_path, fcm, peers.reply(202, b'{"id": "m-1"}'))

        yield new


def test_every_provider_is_asked_and_nothing_is_sent(new_environment: NewEnvironment) -> None:
    environment = new_environment()

    done = environment.run("check", "--json")

    found = {line["provider"]: line for line in map(json.loads, done.output.splitlines())}
    assert done.exit_code == 0
    assert {name: line["isGood"] for name, line in found.items()} == {"fcm": True, "browsers": None, "gateway": None}
    assert json.loads(environment.fcm.requests[0].body)["validate_only"] is True
    assert environment.gateway.requests == []


def test_what_is_bad_is_shown_and_the_exit_code_says_so(new_environment: NewEnvironment) -> None:
    environment = new_environment(fcm=peers.reply(403, b'{"error": {"status": "PERMISSION_DENIED"}}'))

    done = environment.run("check")

    assert done.exit_code == 1
    assert "BAD" in done.output
    assert "enable it" in done.output
    assert "applicationServerKey" in done.output


def test_one_provider_alone_is_asked(new_environment: NewEnvironment) -> None:
    environment = new_environment(fcm=peers.reply(403))

    assert environment.run("check", "browsers").exit_code == 0
    assert environment.fcm.requests == []


def test_a_provider_that_does_not_answer_is_bad_and_the_others_are_asked(new_environment: NewEnvironment) -> None:
    environment = new_environment(fcm=peers.hang_up)

    done = environment.run("check")

    assert done.exit_code == 1
    assert "no answer" in done.output
    assert "browsers" in done.output


def test_an_unknown_name_is_told_with_those_there_are(new_environment: NewEnvironment) -> None:
    for words in (["check", "fmc"], ["send-test", "fmc", "--to", "x"]):
        done = new_environment().run(*words)

        assert done.exit_code == 2
        assert "fcm, browsers, gateway" in done.output


def test_one_message_is_sent_audited_and_its_answer_shown(new_environment: NewEnvironment) -> None:
    environment = new_environment()

    done = environment.run("send-test", "gateway", "--type", "sms", "--to", "+44 7700 900123", "--operator", "ada")

    [sent] = [json.loads(each.body) for each in environment.gateway.requests]
    [event] = environment.audit.events
    assert done.exit_code == 0
    assert "accepted" in done.output
    assert "m-1" in done.output
    assert sent["to"]["phone"] == "+447700900123"
    assert (event.action, event.actor, event.provider) == (ProviderAction.SEND_TEST, "ada", "gateway")
    assert "7700" not in event.reason


def test_an_answer_that_is_not_good_has_exit_code_1(new_environment: NewEnvironment) -> None:
    environment = new_environment(fcm=peers.reply(404, b'{"error": {"details": [{"errorCode": "UNREGISTERED"}]}}'))

    done = environment.run("send-test", "fcm", "--to", "token-of-nobody")

    assert done.exit_code == 1
    assert "fcm_UNREGISTERED" in done.output
    assert "recipient_gone" in done.output


def test_the_recipient_may_be_the_object_of_the_api(new_environment: NewEnvironment) -> None:
    environment = new_environment()

    environment.run("send-test", "fcm", "--to", '{"platform": "fcm", "token": "abc"}')

    assert json.loads(environment.fcm.requests[0].body)["message"]["token"] == "abc"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["gateway", "--to", "+447700900123"], "say --type email|sms"),
        (["gateway", "--type", "push", "--to", "x"], "does not serve push"),
        (["gateway", "--type", "sms", "--to", "12"], "/to/phone"),
        (["gateway", "--type", "email", "--to", "nobody"], "/to/email"),
        (["browsers", "--to", '{"platform": "webpush"}'], "/to/subscription"),
        (["fcm", "--to", "{"], "is none"),
    ],
)
def test_what_is_asked_for_wrongly_sends_nothing(new_environment: NewEnvironment, words: list[str], text: str) -> None:
    environment = new_environment()

    done = environment.run("send-test", *words)

    assert done.exit_code == 2
    assert text in done.output
    assert environment.gateway.requests == environment.fcm.requests == environment.audit.events == []


def test_what_cannot_be_audited_is_not_sent(new_environment: NewEnvironment) -> None:
    environment = new_environment()
    environment.audit.is_up = False

    done = environment.run("send-test", "fcm", "--to", "abc")

    assert done.exit_code == 1
    assert environment.fcm.requests == []
