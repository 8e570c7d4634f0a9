"""``wavecom keys senders``: as whom a client may send, and whether its mails may command the relay."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import click

from wavecom.accounts import Administrator
from wavecom.commands.console import explaining_errors, open_services, operator_name, print_json
from wavecom.core.account import CLIENT_NAME_RULE, is_client_name
from wavecom.core.senders import SenderPolicy

_ANY, _NONE = "any", "none"
_FORM = "Write words with commas between them, or any, or none."
_SMS = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,13}[\x21-\x7e])?")


@click.command()
@click.option("--client", metavar="NAME", required=True, help="Whose.")
@click.option("--email", metavar="WORDS", help="Addresses, domains, and *.domains.")
@click.option("--sms", metavar="WORDS", help="Sender ids and numbers.")
@click.option("--relay-headers/--no-relay-headers", default=None, help="May set X-SMTPAPI, X-SES-… and the like.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
def senders(
    client: str, email: str | None, sms: str | None, relay_headers: bool | None, as_json: bool, operator: str
) -> None:
    """Say as whom a client may send; without any of --email, --sms and --relay-headers show what holds.

    Each list takes the place of the former one, with commas between its words: `any` is no restriction, `none` only the
    provider's own sender. `acme.example` is that domain, `*.acme.example` all below it. Any other sender is then 422
    `not_allowed`. Without --relay-headers no client may command the services that relay its mails. Holds within ten
    seconds.

    \b
      wavecom keys senders --client acme --email acme.example,alerts@acme-mail.example --sms ACME,+447700900100
    """
    if not is_client_name(client):
        raise click.BadParameter(f"{client!r} is no client's name; it has {CLIENT_NAME_RULE}.", param_hint="--client")
    services = open_services()
    with explaining_errors():
        policy = services.keys.senders(Administrator(operator), client)
        wanted = policy
        if email is not None:
            wanted = replace(wanted, email=_words(email, _email_sender, "--email"))
        if sms is not None:
            wanted = replace(wanted, sms=_words(sms, _sms_sender, "--sms"))
        if relay_headers is not None:
            wanted = replace(wanted, may_command_relays=relay_headers)
        if wanted != policy:
            services.keys.set_senders(Administrator(operator), client, wanted)
    _show(client, wanted, as_json)


def _show(client: str, policy: SenderPolicy, as_json: bool) -> None:
    email = None if policy.email is None else sorted(policy.email)
    sms = None if policy.sms is None else sorted(policy.sms)
    if as_json:
        print_json({"client": client, "email": email, "sms": sms, "relayHeaders": policy.may_command_relays})
        return
    click.echo(f"Client {client} may send e-mail as {_in_words(email)}, SMS as {_in_words(sms)},")
    click.echo(f"and its mails may {'' if policy.may_command_relays else 'not '}command the relay by headers.")


def _in_words(names: list[str] | None) -> str:
    return "anybody" if names is None else ", ".join(names) or "the provider's own sender only"


def _words(given: str, read: Callable[[str], str], option: str) -> frozenset[str] | None:
    words = [word.strip() for word in given.split(",") if word.strip()]
    if words == [_ANY]:
        return None
    if words == [_NONE]:
        return frozenset()
    try:
        found = frozenset(map(read, words))
    except ValueError as error:
        raise click.BadParameter(f"{error} {_FORM}", param_hint=option) from None
    if not found:
        raise click.BadParameter(f"There is no word. {_FORM}", param_hint=option)
    return found


def _email_sender(word: str) -> str:
    # Imported here: most commands do without the web's fields.
    from marshmallow import ValidationError

    from wavecom.settings import MailAddresses
    from wavecom.web.api import email_addresses

    prefix, domain = ("*.", word[2:]) if word.startswith("*.") else ("", word)
    address = domain if "@" in domain and not prefix else f"a@{domain}"
    try:
        with email_addresses.rules(MailAddresses.RELAY):
            normalised = email_addresses.EmailAddress().normalised(address).lower()
    except ValidationError:
        raise ValueError(f"{word!r} is no address and no domain.") from None
    return normalised if address == domain else prefix + normalised.removeprefix("a@")


def _sms_sender(word: str) -> str:
    if not _SMS.fullmatch(word):
        raise ValueError(f"{word!r} is no sender id and no number.")
    return word.lower()
