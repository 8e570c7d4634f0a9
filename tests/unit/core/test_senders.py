"""As whom a client may send."""

from __future__ import annotations

from typing import Any

import pytest

from wavecom.core.lanes import Channel
from wavecom.core.senders import ANY_SENDER, RELAY_COMMANDS, SenderPolicy

POLICY = SenderPolicy(
    frozenset({"bank.example", "*.shop.example", "alerts@x.example"}), frozenset({"acme", "+447700900100"})
)


def where(policy: SenderPolicy, payload: dict[str, Any], channel: Channel = Channel.EMAIL) -> list[str]:
    return [problem.where for problem in policy.problems(channel, payload)]


@pytest.mark.parametrize(
    "sender",
    ["a@bank.example", "Any.One@BANK.example", "a@mail.shop.example", "a@b.c.shop.example", "Alerts@x.example"],
)
def test_what_is_allowed_passes_in_both_forms(sender: str) -> None:
    assert where(POLICY, {"from": sender}) == []
    assert where(POLICY, {"from": {"email": sender, "name": "Bank"}}) == []


@pytest.mark.parametrize(
    "sender",
    [
        "a@mail.bank.example",
        "a@notbank.example",
        "a@shop.example",
        "other@x.example",
        "a@bank.example.evil.example",
        "bank.example@evil.example",
        "a@evil.example",
    ],
)
def test_neighbours_do_not(sender: str) -> None:
    assert where(POLICY, {"from": sender}) == ["/payload/from"]
    assert where(POLICY, {"from": {"email": sender}}) == ["/payload/from/email"]


def test_the_providers_own_sender_is_always_allowed_and_so_is_everybody_without_a_list() -> None:
    assert where(POLICY, {}) == where(POLICY, {}, Channel.SMS) == []
    assert where(SenderPolicy(frozenset()), {"from": "a@bank.example"}) == ["/payload/from"]
    assert where(ANY_SENDER, {"from": "a@evil.example"}) == []
    assert where(ANY_SENDER, {"senderId": "BANK"}, Channel.SMS) == []


@pytest.mark.parametrize(
    ("sender", "is_allowed"), [("ACME", True), ("acme", True), ("+447700900100", True), ("BANK", False)]
)
def test_sender_ids_are_held_to_their_list(sender: str, is_allowed: bool) -> None:
    assert (where(POLICY, {"senderId": sender}, Channel.SMS) == []) is is_allowed


@pytest.mark.parametrize(
    "header",
    [
        "X-SMTPAPI",
        "x-ses-configuration-set",
        "X-Mailgun-Variables",
        "X-MC-Subaccount",
        "X-MJ-TemplateID",
        "X-PM-Tag",
        "X-SG-EID",
        "X-MSYS-API",
        "X-Mandrill-x",
        "X-virtual-MTA",
        "X-Sib-Sandbox",
    ],
)
def test_headers_that_command_a_relay_are_for_those_who_may(header: str) -> None:
    assert where(ANY_SENDER, {"headers": {header: "1", "X-Campaign": "spring"}}) == [f"/payload/headers/{header}"]
    assert where(SenderPolicy(may_command_relays=True), {"headers": {header: "1"}}) == []


def test_headers_that_people_use_for_themselves_command_nobody() -> None:
    usual = ("X-Campaign", "X-Order-ID", "X-Mailer", "X-Priority", "X-Entity-Ref-ID", "X-Auto-Response-Suppress")

    assert where(ANY_SENDER, {"headers": dict.fromkeys((*usual, "List-Unsubscribe"), "1")}) == []
    assert list(RELAY_COMMANDS) == [each.lower() for each in RELAY_COMMANDS]
