"""Under which names the web process answers."""

from __future__ import annotations

import pytest

from tests.unit.web.api.test_batch import sms
from tests.unit.web.conftest import make_environment
from wavecom.settings import Settings
from wavecom.web.request_middleware import AllowedHosts

PATH = "/api/notifications"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "[::1]:8000",
        "10.1.2.3",
        "localhost",
        "LOCALHOST:8000",
        "a.localhost",
        "web",
        "wavecom-web:8000",
        "my_service",
        "notify.bank.example",
        "Notify.Bank.Example.:443",
        "a.b.shop.example",
        "node7.internal.example",
        None,
        "",
    ],
)
def test_addresses_names_without_a_dot_and_those_that_are_set_are_allowed(host: str | None) -> None:
    hosts = AllowedHosts(["notify.bank.example", "*.shop.example"], ["node7.internal.example"])

    assert [hosts.allows(host), hosts.allows(host)] == [True, True]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "notify.bank.example.evil.example",
        "shop.example",
        "xshop.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:8000",
        "1.2.3",
        "[::1].evil.example",
        "a b",
        "a@b",
        "example..com",
        "localhost:abc",
        "localhost:80:80",
        "localhost:65536",
        "localhost:-1",
        "localhost:\u0661",
        "[::1]80",
        "[::1",
        "::1",
        ":80",
    ],
)
def test_any_other_is_not(host: str) -> None:
    hosts = AllowedHosts(["notify.bank.example", "*.shop.example"], [])

    assert [hosts.allows(host), hosts.allows(host)] == [False, False]


def test_all_are_allowed_who_says_so() -> None:
    assert AllowedHosts(["*"], []).allows("evil.example")
    assert not AllowedHosts(["*"], []).allows("evil.example:abc")


@pytest.mark.parametrize("headers", [{}, {"X-Custom": "not the fast path", "Origin": "https://evil.example"}])
def test_a_foreign_name_is_421_with_the_fix_both_ways_and_nothing_is_stored(headers: dict[str, str]) -> None:
    environment = make_environment()

    answer = environment.client().post(PATH, json=sms(), headers={"Host": "evil.example", **headers})

    assert (answer.status_code, answer.json["code"]) == (421, "unknown_host")
    assert "WAVECOM_ALLOWED_HOSTS" in answer.json["detail"]
    assert environment.publisher.delivery_messages == []


def test_what_is_set_is_answered_and_probes_are_whatever_they_ask_for() -> None:
    settings = Settings(secret_key="a secret for tests only", allowed_hosts=("evil.example",))

    assert (
        make_environment(settings).client().post(PATH, json=sms(), headers={"Host": "evil.example"}).status_code == 202
    )
    for path in ("/healthz", "/readyz", "/readyz/accepting"):
        assert make_environment().client(None).get(path, headers={"Host": "evil.example"}).status_code == 200


def test_people_get_a_page() -> None:
    answer = make_environment().client(None).get("/login", headers={"Host": "evil.example", "Accept": "text/html"})

    assert answer.status_code == 421
    assert "WAVECOM_ALLOWED_HOSTS" in answer.text


@pytest.mark.parametrize("value", ["https://a.example", "a.example:443", "a b", "*.*.example", "-"])
def test_settings_take_names_only(value: str) -> None:
    with pytest.raises(Exception, match="WAVECOM_ALLOWED_HOSTS"):
        Settings.from_environment({"WAVECOM_ALLOWED_HOSTS": value})
