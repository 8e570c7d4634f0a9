"""A real web process behind a trusted proxy: who guesses is seen and slowed down, who has a right secret never is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.web_process import WebProcess

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}
GUESSER, HONEST = "203.0.113.5", "203.0.113.6"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebProcess]:
    with WebProcess(tmp_path, variables={"WAVECOM_TRUSTED_PROXIES": "1"}) as web:
        yield web


def _proxied(address: str, **more: str) -> dict[str, str]:
    return {"X-Forwarded-For": f"6.6.6.6, {address}", "X-Forwarded-Proto": "https", **more}


def test_guesses_are_answered_429_and_logged_in_few_lines_while_the_right_key_is_let_in(web: WebProcess) -> None:
    def send(key: str, address: str) -> int:
        headers = _proxied(address, Authorization=f"Bearer {key}")
        return requests.post(f"{web.url}/api/notifications", json=SMS, headers=headers, timeout=10).status_code

    guesses = [f"{web.key[:-3]}{number:03}" for number in range(40)]
    refused = [send(guess, GUESSER) for guess in guesses]
    right = [send(web.key, GUESSER), send(web.key, HONEST)]
    mistyped = send(web.key[:-1], HONEST)

    lines = [json.loads(line) for line in web.logged().splitlines() if "access_refused" in line]
    assert refused[0] == 401
    assert refused.count(429) >= 15
    assert (right, mistyped) == ([202, 202], 401)
    assert {line["address"] for line in lines} == {GUESSER, HONEST}
    assert len([line for line in lines if line["address"] == GUESSER]) <= 12
    assert not [guess for guess in [*guesses, web.key] if guess in web.logged()]


def test_a_session_behind_tls_is_bound_to_this_host_and_its_copy_ends_with_the_logout(web: WebProcess) -> None:
    proxied = _proxied(HONEST, Referer=f"https://127.0.0.1:{web.port}/login")

    def ask(method: str, path: str, cookie: str, data: Mapping[str, str] | None = None) -> requests.Response:
        # By hand: clients rightly send no Secure cookie over plain HTTP, which is what a proxy does.
        return requests.request(
            method,
            web.url + path,
            headers=proxied | {"Cookie": cookie},
            data=data,
            allow_redirects=False,
            timeout=10,
        )

    form = ask("GET", "/login", "")
    entered = ask("POST", "/login", _cookie(form), {"secret": web.key, "csrf_token": _token(form)})
    cookie = _cookie(entered)
    seen = ask("GET", "/sessions", cookie)
    # The page has put the token of its forms into it.
    grown = _cookie(seen)
    left = ask("POST", "/logout", grown, {"csrf_token": _token(seen)})
    copies = [ask("GET", "/sessions", each) for each in (cookie, grown)]

    assert re.match(r"__Host-wavecom_\w+=", cookie)
    assert "; Secure" in entered.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in entered.headers
    assert [answer.status_code for answer in (entered, seen, left, *copies)] == [303, 200, 303, 303, 303]
    assert HONEST in seen.text
    assert all(copy.headers["Location"].startswith("/login") for copy in copies)


def _cookie(answer: requests.Response) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


def _token(answer: requests.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]
