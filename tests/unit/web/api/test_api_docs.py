"""docs/api.md says what the code does: every table there is held to its table here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from flask.testing import FlaskClient

from tests.factories import make_job
from tests.unit.web.conftest import NOW, WebEnvironment
from wavecom.core.states import Status
from wavecom.web import body
from wavecom.web.api import representation
from wavecom.web.api.field_errors import FieldErrorCode
from wavecom.web.api.schemas.action import RetrySchema, SettleSchema
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.email import EmailPayload, EmailTo, MailHeaders
from wavecom.web.api.schemas.listing import ListQuery
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.schemas.push import PushPayload, PushTo
from wavecom.web.api.schemas.replay import ReplaySchema
from wavecom.web.api.schemas.sms import SmsPayload, SmsTo
from wavecom.web.api.schemas.stats import StatsQuery
from wavecom.web.api.schemas.templated import TemplateChoice
from wavecom.web.dashboard.words import EVENTS
from wavecom.web.problems import documented

WAVECOM = Path(__file__).parents[4] / "wavecom"
PAGE = (WAVECOM.parent / "docs" / "api.md").read_text(encoding="utf-8")


def _first_column(header: str) -> list[str]:
    """What stands in backquotes in the first column of every table whose header begins so."""
    words: list[str] = []
    for table in re.findall(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        words += re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    return words


def _names(schema: BaseSchema, prefix: str = "") -> set[str]:
    return {prefix + (field.data_key or name) for name, field in schema.fields.items()}


def test_every_error_is_in_the_table_with_its_status_and_remedy() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)

    assert {(code, int(status), remedy) for code, status, remedy in rows} == {
        (code, entry.status, entry.remedy) for code, entry in documented().items()
    }


def test_every_code_of_a_field_is_in_the_table() -> None:
    assert _first_column("`code` of a field") == list(FieldErrorCode)


def test_no_rule_behind_the_api_gives_a_field_another_code() -> None:
    # Files of providers have codes of their own, which no client is told.
    modules = [path for folder in ("core", "accounts", "web") for path in (WAVECOM / folder).rglob("*.py")]
    calls = [
        call
        for module in modules
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Problem"
    ]
    given = [[*call.args[2:], *(each.value for each in call.keywords if each.arg == "code")] for call in calls]
    codes = {code.value for arguments in given for code in arguments if isinstance(code, ast.Constant)}

    assert len(codes) > 5
    assert codes <= set(FieldErrorCode)


def test_every_status_is_in_the_table() -> None:
    assert _first_column("status") == list(Status)


def test_every_event_of_the_log_is_in_the_table() -> None:
    assert set(_first_column("event")) == set(EVENTS)


def test_every_field_that_can_be_sent_or_read_is_in_a_table(environment: WebEnvironment) -> None:
    sent = _names(NotificationSchema(lambda: NOW)) | _names(TemplateChoice())
    sent |= _names(EmailTo(), "to.") | _names(EmailPayload(), "payload.")
    sent |= _names(SmsTo(), "to.") | _names(SmsPayload(), "payload.")
    sent |= _names(PushTo(), "to.") | _names(PushPayload(), "payload.")
    read = set(representation.detail(make_job()))

    assert set(_first_column("field")) == sent | read


def test_every_field_of_a_replay_is_in_the_table() -> None:
    assert set(_first_column("field of a replay")) == _names(ReplaySchema(lambda: NOW))


def test_every_field_of_a_retry_and_of_a_settlement_is_in_the_table() -> None:
    assert set(_first_column("field of a retry")) == _names(RetrySchema())
    assert set(_first_column("field of a settlement")) == _names(SettleSchema())


def test_every_parameter_is_in_the_table() -> None:
    assert set(_first_column("parameter")) == _names(ListQuery())


def test_every_parameter_of_the_counts_is_in_the_table() -> None:
    assert set(_first_column("parameter of the counts")) == _names(StatsQuery(lambda: NOW))


def test_every_call_is_in_the_table_with_its_path(environment: WebEnvironment) -> None:
    rules = {
        f"{method} {rule}".replace("<job_id>", "<jobId>")
        .replace("<key_id>", "<keyId>")
        .replace("<suppression_id>", "<suppressionId>")
        .replace("<callback_id>", "<callbackId>")
        .replace("<event_id>", "<eventId>")
        .replace("<file_id>", "<fileId>")
        .replace("<string:recipient_id>", "<recipientId>")
        .replace("<string:category>", "<category>")
        .replace("<campaign_id>", "<campaignId>")
        for rule in environment.app.url_map.iter_rules()
        if str(rule).startswith(("/api/", "/readyz")) or str(rule) in {"/docs", "/healthz"}
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert set(_first_column("call")) == rules


def test_headers_and_limits_are_those_of_the_code() -> None:
    for name in MailHeaders.ALLOWED:
        assert f"`{name}`" in PAGE.lower()
    assert f"{body.DEPTH_LIMIT} levels" in PAGE
    assert f"{body.VALUES_LIMIT:,} values" in PAGE


def test_the_example_of_an_error_is_what_the_api_answers(api: FlaskClient) -> None:
    example = re.search(r"```json\n(\{\n  \"type\".*?)```", PAGE, re.DOTALL)
    assert example is not None
    wanted = api.application.json.loads(example[1])
    request = {
        "type": "sms",
        "to": {"phone": "07700 900123"},
        "payload": {"text": "Hello"},
        "maxattempts": 3,
    }

    answer = api.post("/api/notifications", json=request)

    assert answer.json | {"requestId": ""} == wanted | {"requestId": ""}


def test_the_link_of_every_error_leads_to_its_explanation(environment: WebEnvironment) -> None:
    answer = environment.client(None).get("/docs/errors")

    assert answer.mimetype == "text/html"
    assert re.findall(r'id="(\w+)"', answer.text) == list(documented())
    assert "use a method of the <code>Allow</code> header" in answer.text
