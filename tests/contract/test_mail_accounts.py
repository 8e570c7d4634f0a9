"""What providers of mail tell of our account, without a mail being sent: from a real server, by the real client."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.mail_apis import provider_of
from tests.unit.providers.conftest import Environment
from wavecom.providers.account import AccountAspect, AccountFinding
from wavecom.providers.account.client import HttpAccountClient

CREDENTIALS, SENDER, QUOTA = AccountAspect.CREDENTIALS, AccountAspect.SENDER, AccountAspect.QUOTA

TABLES: Mapping[str, str] = {
    "sendgrid": 'api_key = "$SECRET"',
    "mailgun": 'domain = "mg.bank.example"\napi_key = "$SECRET"',
    "ses": 'region = "eu-west-1"\naccess_key_id = "AKID"\nsecret_access_key = "$SECRET"',
    "postmark": 'server_token = "$SECRET"\nmessage_stream = "codes"',
    "resend": 'api_key = "$SECRET"',
}

#: Path → status and content; whatever else is asked for is 404.
Answers = Mapping[str, tuple[int, Any]]

SCOPES = ("/v3/scopes", (200, {"scopes": ["mail.send", "user.credits.read"]}))
CREDITS = ("/v3/user/credits", (200, {"remain": 200, "total": 200, "used": 0}))
NO_SENDERS = ("/v3/verified_senders", (200, {"results": []}))
NO_DOMAINS = ("/v3/whitelabel/domains", (200, []))
ACCOUNT = {"SendingEnabled": True, "SendQuota": {"Max24HourSend": 200.0, "SentLast24Hours": 7.0}}


def found(type_name: str, answers: Answers, server: HTTPServer) -> list[AccountFinding]:
    def answer(request: Request) -> Response:
        assert request.method == "GET"
        assert "s3cret" not in request.full_path
        status, content = answers.get(request.path, (404, {}))
        return Response(json.dumps(content), status, content_type="application/json")

    server.expect_request(re.compile(".*")).respond_with_handler(answer)
    base_url = server.url_for("").rstrip("/")
    table = f'type = "{type_name}"\nsender = "Bank <bank@bank.example>"\nbase_url = "{base_url}"\n{TABLES[type_name]}'
    client = HttpAccountClient()
    findings = list(provider_of(table, Environment()).check_account(client))
    client.close()
    assert not [finding for finding in findings if "s3cret" in repr(finding)]
    return findings


@pytest.mark.parametrize(
    ("type_name", "answers", "expected"),
    [
        (
            "sendgrid",
            [
                SCOPES,
                CREDITS,
                NO_SENDERS,
                ("/v3/whitelabel/domains", (200, [{"domain": "bank.example", "valid": True}])),
            ],
            {CREDENTIALS: True, SENDER: True, QUOTA: True},
        ),
        (
            "sendgrid",
            [
                SCOPES,
                CREDITS,
                NO_DOMAINS,
                ("/v3/verified_senders", (200, {"results": [{"from_email": "bank@bank.example", "verified": True}]})),
            ],
            {CREDENTIALS: True, SENDER: True, QUOTA: True},
        ),
        (
            "sendgrid",
            [SCOPES, NO_SENDERS, NO_DOMAINS, ("/v3/user/credits", (200, {"remain": 0}))],
            {CREDENTIALS: True, SENDER: False, QUOTA: False},
        ),
        (
            "sendgrid",
            [
                ("/v3/scopes", (200, {"scopes": ["mail.send"]})),
                ("/v3/verified_senders", (403, {"errors": []})),
                ("/v3/whitelabel/domains", (403, {"errors": []})),
                ("/v3/user/credits", (403, {"errors": []})),
            ],
            {CREDENTIALS: True, SENDER: None, QUOTA: None},
        ),
        ("sendgrid", [("/v3/scopes", (200, {"scopes": ["alerts.read"]}))], {CREDENTIALS: False}),
        ("sendgrid", [("/v3/scopes", (401, {"errors": []}))], {CREDENTIALS: False}),
        (
            "mailgun",
            [("/v3/domains/mg.bank.example", (200, {"domain": {"state": "active"}}))],
            {CREDENTIALS: True, SENDER: True},
        ),
        (
            "mailgun",
            [("/v3/domains/mg.bank.example", (200, {"domain": {"state": "unverified"}}))],
            {CREDENTIALS: True, SENDER: False},
        ),
        ("mailgun", [("/v3/domains/mg.bank.example", (200, []))], {CREDENTIALS: True, SENDER: False}),
        ("mailgun", [("/v3/domains/mg.bank.example", (401, {}))], {CREDENTIALS: False}),
        ("mailgun", [], {SENDER: False}),
        (
            "ses",
            [
                ("/v2/email/account", (200, ACCOUNT)),
                ("/v2/email/identities/bank.example", (200, {"VerifiedForSendingStatus": True})),
            ],
            {CREDENTIALS: True, SENDER: True, QUOTA: True},
        ),
        (
            "ses",
            [
                ("/v2/email/account", (200, ACCOUNT | {"SendQuota": {"Max24HourSend": 7, "SentLast24Hours": 7}})),
                ("/v2/email/identities/bank@bank.example", (200, {"VerifiedForSendingStatus": False})),
            ],
            {CREDENTIALS: True, SENDER: False, QUOTA: False},
        ),
        (
            "ses",
            [("/v2/email/account", (200, ACCOUNT | {"SendingEnabled": False}))],
            {CREDENTIALS: True, SENDER: False, QUOTA: False},
        ),
        ("ses", [("/v2/email/account", (200, {}))], {CREDENTIALS: True, SENDER: False, QUOTA: None}),
        ("ses", [("/v2/email/account", (403, {"message": "no"}))], {CREDENTIALS: False}),
        # The key may ask for the account and not for identities.
        (
            "ses",
            [
                ("/v2/email/account", (200, {})),
                ("/v2/email/identities/bank@bank.example", (403, {"message": "no"})),
                ("/v2/email/identities/bank.example", (403, {"message": "no"})),
            ],
            {CREDENTIALS: True, SENDER: None, QUOTA: None},
        ),
        (
            "postmark",
            [("/server", (200, {"ID": 1})), ("/message-streams/codes", (200, {"ID": "codes"}))],
            {CREDENTIALS: True, SENDER: None},
        ),
        ("postmark", [("/server", (200, {"ID": 1}))], {CREDENTIALS: True, SENDER: False}),
        ("postmark", [("/server", (401, {"ErrorCode": 10}))], {CREDENTIALS: False}),
        (
            "resend",
            [("/domains", (200, {"data": [{"name": "bank.example", "status": "verified"}]}))],
            {CREDENTIALS: True, SENDER: True},
        ),
        (
            "resend",
            [("/domains", (200, {"data": [{"name": "bank.example", "status": "pending"}]}))],
            {CREDENTIALS: True, SENDER: False},
        ),
        (
            "resend",
            [("/domains", (401, {"name": "restricted_api_key", "message": "send only"}))],
            {CREDENTIALS: True, SENDER: None},
        ),
        ("resend", [("/domains", (400, {"name": "validation_error"}))], {CREDENTIALS: False}),
        ("resend", [("/domains", (429, {}))], {CREDENTIALS: None}),
    ],
)
def test_an_account_is_asked_about_without_sending(
    type_name: str,
    answers: list[tuple[str, tuple[int, Any]]],
    expected: Mapping[AccountAspect, bool | None],
    httpserver: HTTPServer,
) -> None:
    findings = found(type_name, dict(answers), httpserver)

    assert {finding.aspect: finding.is_good for finding in findings} == expected
    assert all(finding.text for finding in findings)


@pytest.mark.parametrize("type_name", TABLES)
def test_where_nobody_answers_the_error_is_one_of_the_network(type_name: str) -> None:
    table = f'type = "{type_name}"\nsender = "bank@bank.example"\nbase_url = "http://127.0.0.1:9"\n{TABLES[type_name]}'
    client = HttpAccountClient(deadline_seconds=0.5)

    with pytest.raises(OSError, match="connection"):
        provider_of(table, Environment()).check_account(client)
    client.close()
