"""``wavecom keys contact``: where a client is told what concerns it as a whole."""

from __future__ import annotations

import click

from wavecom.accounts import Administrator
from wavecom.commands.console import explaining_errors, open_services, operator_name, print_json
from wavecom.core.account import CLIENT_NAME_RULE, is_client_name


@click.command()
@click.option("--client", metavar="NAME", required=True, help="Whose.")
@click.option("--email", metavar="ADDRESS", help="The address.")
@click.option("--none", "is_forgotten", is_flag=True, help="Forget the address that is known.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
def contact(client: str, email: str | None, is_forgotten: bool, as_json: bool, operator: str) -> None:
    """Say where a client is told what concerns it as a whole; without --email and --none show the address.

    A mail goes there when an endpoint of its callbacks has failed for a day, and when WaveCom calls it no more. It is a
    notification like every other, of the client `wavecom`: it needs a route for e-mail, and stands in the lists.

    \b
      wavecom keys contact --client acme --email platform@acme.example
    """
    if not is_client_name(client):
        raise click.BadParameter(f"{client!r} is no client's name; it has {CLIENT_NAME_RULE}.", param_hint="--client")
    if email is not None and is_forgotten:
        raise click.UsageError("--email and --none exclude each other: give one of them.")
    wanted = None if email is None else _normalised(email)
    services = open_services()
    with explaining_errors():
        if wanted is not None or is_forgotten:
            services.keys.set_contact(Administrator(operator), client, wanted)
        known = services.keys.contact(Administrator(operator), client)
    if as_json:
        print_json({"client": client, "email": known})
    elif known is None:
        click.echo(f"No contact of client {client} is known: nobody is told when an endpoint of its callbacks fails.")
    else:
        click.echo(f"Client {client} is told at {known}.")


def _normalised(email: str) -> str:
    # Imported here: most commands do without the web's fields.
    from marshmallow import ValidationError

    from wavecom.settings import MailAddresses
    from wavecom.web.api import email_addresses

    try:
        with email_addresses.rules(MailAddresses.RELAY):
            return email_addresses.EmailAddress().normalised(email)
    except ValidationError:
        raise click.BadParameter(f"{email!r} is no e-mail address.", param_hint="--email") from None
