"""Single sign-on in a real browser through a real OpenID provider: in, out, and after the provider has new keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.pages.served import served
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, openid_provider
from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.local.ports import free_ports
from wavecom.services.sign_on import sign_on_of
from wavecom.settings import Settings

ROLES = {"admin": ("notify-admins",), "viewer": ("staff",)}


@dataclass
class Bank:
    """Pages, the provider by which its people sign in, and how to start that again."""

    pages: str
    issuer: str
    environment: DashboardEnvironment
    provider: ExitStack

    def start_provider(self) -> None:
        """Start it, or start it again: with new keys, and nobody signed in there."""
        self.provider.close()
        self.provider.enter_context(openid_provider(int(self.issuer.rpartition(":")[2]), self.pages))


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    [port] = free_ports(1)
    issuer = f"http://127.0.0.1:{port}"
    settings: dict[str, Any] = {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_scopes": ("openid", "profile", "groups"),
        "oidc_roles": ROLES,
        "password_sign_in": False,
        "operator_password": None,
    }
    environment = DashboardEnvironment(
        tmp_path,
        sign_on=lambda users, clock: sign_on_of(Settings(**settings), users, clock),
        **settings,
    )
    # The provider's tokens are of today.
    environment.clock.at = datetime.now(UTC)
    with ExitStack() as provider, served(environment) as pages:
        found = Bank(pages, issuer, environment, provider)
        found.start_provider()
        yield found


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """Without a script: links, forms and a refresh are enough."""
    context = new_context(chromium)
    yield context
    context.close()


def new_context(chromium: Browser) -> BrowserContext:
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(15_000)
    # The provider's own pages would have fonts from elsewhere.
    context.route(lambda url: not url.startswith("http://127.0.0.1:"), lambda route: route.abort())
    return context


def sign_in(page: Page, bank: Bank, name: str, path: str = "/sessions") -> None:
    page.goto(bank.pages + path)
    page.get_by_role("link", name="Sign in with single sign-on").click()
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("anything")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_people_sign_in_by_the_provider_and_out_of_both(bank: Bank, context: BrowserContext) -> None:
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))

    sign_in(page, bank, "ada", "/users")
    expect(page.get_by_role("heading", level=1)).to_have_text("Users")
    expect(page.get_by_role("row", name="sso:ada@bank.example")).to_contain_text("admin")

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto(f"{bank.pages}/users")
    page.get_by_role("link", name="Sign in with single sign-on").click()
    expect(page.locator("[name=login]")).to_be_visible()
    assert [text for text in refused if "Content Security Policy" in text] == []


def test_a_group_without_a_role_lets_nobody_in_and_one_with_a_small_role_not_everywhere(
    bank: Bank, context: BrowserContext, chromium: Browser
) -> None:
    page = context.new_page()
    sign_in(page, bank, "eve")
    expect(page.get_by_role("main")).to_contain_text("none of your groups has a role in WaveCom")

    with new_context(chromium) as others:
        page = others.new_page()
        sign_in(page, bank, "bob", "/users")
        expect(page.get_by_role("main")).to_contain_text("Your role is viewer; this needs admin")


def test_new_keys_of_the_provider_cost_nobody_a_sign_in(bank: Bank, context: BrowserContext, chromium: Browser) -> None:
    sign_in(context.new_page(), bank, "ada")
    bank.start_provider()
    bank.environment.clock.advance(15)

    with new_context(chromium) as others:
        page = others.new_page()
        sign_in(page, bank, "bob")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
