"""``wavecom providers check`` and ``send-test``: whether providers know us, and whether one message gets through."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from wavecom.commands.console import console, explaining_errors, operator_name, print_json, table_of
from wavecom.core.ids import uuid7
from wavecom.core.job import Outcome
from wavecom.core.lanes import Channel
from wavecom.errors import InvalidRequestError
from wavecom.observability import configure_logging
from wavecom.providers.account import AccountFinding
from wavecom.services.provider_accounts import ProviderAccounts, provider_accounts
from wavecom.settings import Settings
from wavecom.web.api.schemas.notification import NotificationSchema

_WORDS: Mapping[bool | None, str] = {True: "good", False: "BAD", None: "not known"}

_TEXT = "A test message of WaveCom."
_PAYLOADS: Mapping[Channel, Mapping[str, str]] = {
    Channel.EMAIL: {"subject": _TEXT, "text": _TEXT},
    Channel.SMS: {"text": _TEXT},
    Channel.PUSH: {"title": "WaveCom", "body": _TEXT},
}


@click.command("check")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def check(context: click.Context, name: str | None, as_json: bool) -> None:
    """Ask every provider of the file, or NAME, about our account with it: credentials, sender, quota.

    Sends nothing to anybody, by the call that each provider has for that. To be run where the workers run, with their
    environment; needs none of WaveCom's servers.

    \b
    Exit code: 0 nothing is bad, 1 something is, 2 asked for wrongly.
    """
    accounts = _open()
    names = [_known(accounts, name)] if name is not None else list(accounts.providers)
    table = table_of("PROVIDER", "TYPE", "ASPECT", "RESULT", "", whole=frozenset({"PROVIDER", "RESULT"}))
    is_bad = False
    for each in names:
        type_ = accounts.providers[each].config.type
        for finding in accounts.findings(each):
            is_bad = is_bad or finding.is_good is False
            if as_json:
                print_json(_as_json(each, type_, finding))
            else:
                table.add_row(each, type_, finding.aspect.value, _WORDS[finding.is_good], finding.text)
    if not as_json:
        console().print(table)
    context.exit(int(is_bad))


@click.command("send-test")
@click.argument("name")
@click.option(
    "--to",
    metavar="RECIPIENT",
    required=True,
    help="Mail address, number, push token; or the object `to` of the API as JSON.",
)
@click.option("--type", "channel", type=click.Choice([each.value for each in Channel]), help="Where it serves several.")
@click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
@click.pass_context
def send_test(context: click.Context, name: str, to: str, channel: str | None, operator: str) -> None:
    """Send one message by the provider NAME, and show its answer.

    It really goes out: past queue, breaker, pauses and suppression list, and no job is kept of it. The audit entry says
    who sent it, by whom and of which type, not to whom.

    \b
      wavecom providers send-test twilio --to +447700900123
      wavecom providers send-test browsers --to "$(cat subscription.json)"

    Exit code: 0 the provider has it, 1 it has not or nobody can tell, 2 asked for wrongly.
    """
    accounts = _open()
    provider = accounts.providers[_known(accounts, name)]
    kind = _channel(name, provider.channels, channel)
    checked = _checked_recipient(kind, _recipient(kind, provider.config.type, to))
    with explaining_errors():
        result = accounts.send_test(name, kind, checked, _PAYLOADS[kind], actor=operator)
    table = table_of("", "", whole=frozenset({""}))
    for label, value in (
        ("outcome", result.outcome.value),
        ("code", result.code),
        ("reason", result.reason and result.reason.value),
        ("text", result.message),
        ("provider's id", result.message_id),
    ):
        if value:
            table.add_row(label, str(value))
    console().print(table)
    context.exit(int(result.outcome is not Outcome.ACCEPTED))


def _open() -> ProviderAccounts:
    root = click.get_current_context().find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        configure_logging(settings.log_level, "providers")
        root.obj = provider_accounts(settings, lambda: uuid7(datetime.now(UTC), os.urandom(10)))
        root.call_on_close(root.obj.close)
    found: ProviderAccounts = root.obj
    return found


def _known(accounts: ProviderAccounts, name: str) -> str:
    if name not in accounts.providers:
        names = ", ".join(accounts.providers)
        raise click.BadParameter(f"There is no provider {name!r} in the providers file; there are: {names}.")
    return name


def _channel(name: str, served: frozenset[Channel], asked: str | None) -> Channel:
    if asked is None:
        if len(served) == 1:
            return next(iter(served))
        raise click.UsageError(f"{name} serves several channels: say --type {'|'.join(sorted(served))}.")
    if Channel(asked) not in served:
        raise click.UsageError(f"{name} does not serve {asked}.")
    return Channel(asked)


def _recipient(channel: Channel, type_: str, to: str) -> Any:
    if to.lstrip().startswith("{"):
        try:
            return orjson.loads(to)
        except orjson.JSONDecodeError:
            raise click.UsageError("--to begins like JSON and is none.") from None
    match channel:
        case Channel.EMAIL:
            return {"email": to}
        case Channel.SMS:
            return {"phone": to}
        case Channel.PUSH:
            return {"platform": "apns" if type_ == "apns" else "fcm", "token": to}


def _checked_recipient(channel: Channel, to: Any) -> Mapping[str, Any]:
    """By the same rules as the API's. The text of a mistake repeats nothing of the recipient."""
    body = {"type": channel.value, "to": to, "payload": _PAYLOADS[channel]}
    try:
        fields = NotificationSchema(lambda: datetime.now(UTC)).read_plain(body).fields
    except InvalidRequestError as error:
        told = "; ".join(f"{problem.where} {problem.message}" for problem in error.problems)
        raise click.UsageError(f"--to: {told}") from None
    checked: Mapping[str, Any] = fields["to"]
    return checked


def _as_json(name: str, type_: str, finding: AccountFinding) -> Mapping[str, Any]:
    return {
        "provider": name,
        "type": type_,
        "aspect": finding.aspect.value,
        "isGood": finding.is_good,
        "text": finding.text,
    }
