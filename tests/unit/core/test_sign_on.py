"""Whom claims name, and which role groups give."""

from __future__ import annotations

from typing import Any

import pytest

from wavecom.core.roles import Role
from wavecom.core.sign_on import ClaimRules, NoRoleError, SignOnError, claim, identity_of

RULES = ClaimRules(roles={Role.ADMIN: ["admins"], Role.OPERATOR: ["night-shift", "day-shift"], Role.VIEWER: ["staff"]})


def claims(**overrides: Any) -> dict[str, Any]:
    right = {"iss": "https://login.bank.example", "sub": "7", "preferred_username": "ada", "groups": ["staff"]}
    return right | overrides


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff"], Role.VIEWER),
        (["staff", "night-shift"], Role.OPERATOR),
        (["day-shift", "staff", "admins", "others"], Role.ADMIN),
        ("staff", Role.VIEWER),
        (["staff", 7, None, {"admins": 1}], Role.VIEWER),
    ],
)
def test_the_highest_role_of_all_groups_counts(groups: Any, role: Role) -> None:
    assert identity_of(claims(groups=groups), RULES).role is role


@pytest.mark.parametrize("groups", [[], None, ["visitors"], "admins staff", ["Admins"], 7 * [None], {}])
def test_who_is_in_no_group_with_a_role_is_not_let_in(groups: Any) -> None:
    with pytest.raises(NoRoleError, match="none of your groups"):
        identity_of(claims(groups=groups), RULES)


@pytest.mark.parametrize("subject", ["", None, 7, "x" * 256, "zoë"])
def test_without_a_usable_subject_nobody_is_let_in(subject: Any) -> None:
    with pytest.raises(SignOnError) as refused:
        identity_of(claims(sub=subject), RULES)

    assert refused.value.reason == "no_subject"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("ada@bank.example", "ada@bank.example"),
        ("Ada Müller", "Ada_Müller"),
        ("a/../b?c=\n<script>", "a_.._b_c___script_"),
        ("n" * 100, "n" * 64),
        ("", "7"),
        (None, "7"),
        (["ada"], "7"),
    ],
)
def test_a_name_is_fit_for_addresses_and_commands(given: Any, name: str) -> None:
    assert identity_of(claims(preferred_username=given), RULES).name == name


def test_a_claim_is_found_by_its_own_name_before_a_path() -> None:
    nested = {"realm_access": {"roles": ["a"]}, "https://bank.example/roles": ["b"], "x.y": 1, "x": {"y": 2}}

    assert claim(nested, "realm_access.roles") == ["a"]
    assert claim(nested, "https://bank.example/roles") == ["b"]
    assert claim(nested, "x.y") == 1
    assert claim(nested, "realm_access.groups") is None
    assert claim(nested, "realm_access.roles.0") is None
