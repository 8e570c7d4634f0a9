"""Pages of other sites: kept out, unless their origin is named."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from tests.unit.web.conftest import make_environment
from wavecom.errors import SettingsError
from wavecom.settings import Settings

SHOP = "https://shop.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def _ask(origins: tuple[str, ...], origin: str, path: str = "/api/notifications", method: str = "GET") -> TestResponse:
    environment = make_environment(Settings(cors_origins=origins, secret_key="a secret for tests"))
    headers = {"Origin": origin} | (PREFLIGHT if method == "OPTIONS" else {})
    return environment.client(None if method == "OPTIONS" else "wc_live_" + "k" * 43).open(
        path, method=method, headers=headers
    )


def _cors_headers(answer: TestResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_it_is_off_unless_set(method: str) -> None:
    answer = _ask((), SHOP, method=method)

    assert _cors_headers(answer) == {}
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_named_origin_may_read_answers_errors_too() -> None:
    for path, status in (("/api/notifications", 200), ("/api/notifications/x", 404)):
        answer = _ask((SHOP, "https://app.example"), SHOP, path)

        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers.getlist("Cross-Origin-Resource-Policy") == ["cross-origin"]
        assert answer.headers["Vary"] == "Origin"


def test_a_preflight_is_answered_without_a_key() -> None:
    answer = _ask((SHOP,), SHOP, method="OPTIONS")

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "origin", ["null", "*", "https://shop.example.evil.test", "http://shop.example", "https://shop.example:444", ""]
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_other_origin_is_let_in(origin: str, method: str) -> None:
    assert _cors_headers(_ask((SHOP,), origin, method=method)) == {}


@pytest.mark.parametrize("path", ["/login", "/docs", "/healthz"])
def test_pages_are_never_opened_to_other_sites(path: str) -> None:
    assert _cors_headers(_ask((SHOP,), SHOP, path)) == {}


def test_credentials_are_never_allowed() -> None:
    answers = [_ask((SHOP,), SHOP, method=method) for method in ("GET", "OPTIONS")]

    assert not [answer for answer in answers if "Access-Control-Allow-Credentials" in answer.headers]


@pytest.mark.parametrize("value", ["*", "shop.example", "https://shop.example/", "https://*.example", "null", "a,b"])
def test_only_whole_origins_can_be_set(value: str) -> None:
    with pytest.raises(SettingsError, match="WAVECOM_CORS_ORIGINS"):
        Settings.from_environment({"WAVECOM_CORS_ORIGINS": value})


def test_several_origins_can_be_set() -> None:
    settings = Settings.from_environment({"WAVECOM_CORS_ORIGINS": "https://a.example, http://127.0.0.1:3000,"})

    assert settings.cors_origins == ("https://a.example", "http://127.0.0.1:3000")
