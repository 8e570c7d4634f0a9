"""``wavecom users``: people who sign in to the pages by name, and what they may do there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from wavecom.accounts.users import UserCredentials
from wavecom.commands.console import (
    console,
    explaining_errors,
    open_services,
    operator_name,
    print_json,
    table_of,
    time_text,
)
from wavecom.core.roles import Role
from wavecom.core.users import UserRecord
from wavecom.errors import ConflictError, RefusedError

_OPERATOR = click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
_ROLE = click.Choice([role.value for role in Role])
_WITHOUT = click.option(
    "--no-second-factor",
    is_flag=True,
    help="Let the user sign in without a code. For accounts of programs, such as tests.",
)


@click.group("users", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def users() -> None:
    """Make people who sign in to the status pages by name; change their roles, keep them out, reset credentials.

    \b
    Roles:
      viewer    looks; recipients are masked and messages hidden, unless a reason is given, which is written down
      operator  acts on notifications and providers, too
      admin     decides who may do what, too

    A user signs in with a password and a code of an authenticator app (TOTP). Both are shown once, when they are made.

    \b
    The first one:
      wavecom users add ada --role admin
    Somebody has lost the phone or the password:
      wavecom users reset ada

    Whatever is done leaves an audit entry.

    \b
    Exit code: 0 done, 1 a server is away or there is no such user, 2 asked for wrongly.
    """


@users.command()
@click.argument("name")
@click.option("--role", type=_ROLE, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@_WITHOUT
@_OPERATOR
def add(name: str, role: str, no_second_factor: bool, operator: str) -> None:
    """Make the user NAME and print what to sign in with: the password, and the secret for the authenticator app."""
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        made = services.users.add(name, Role(role), by=operator, has_second_factor=not no_second_factor)
    _show(name, made)


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List users by name."""
    services = open_services()
    with explaining_errors():
        found = services.users.list()
    if as_json:
        for user in found:
            print_json(_as_json(user))
        return
    table = table_of("name", "role", "second factor", "created (UTC)", "kept out since (UTC)")
    for user in found:
        factor = "single sign-on" if user.is_federated else "none" if user.second_factor is None else "code"
        table.add_row(user.name, user.role.value, factor, time_text(user.created_at), time_text(user.disabled_at))
    console().print(table)


@users.command()
@click.argument("name")
@click.argument("role", type=_ROLE)
@_OPERATOR
def role(name: str, role: str, operator: str) -> None:
    """Give the user NAME the ROLE: viewer, operator or admin. Holds at once, in open sessions too."""
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        services.users.change_role(name, Role(role), by=operator)
    click.echo(f"{name} is {role} now.")


@users.command()
@click.argument("name")
@_OPERATOR
def disable(name: str, operator: str) -> None:
    """Keep the user NAME out: open sessions end at once."""
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        services.users.disable(name, by=operator)
    click.echo(f"{name} is kept out. `wavecom users enable {name}` lets the user in again.")


@users.command()
@click.argument("name")
@_OPERATOR
def enable(name: str, operator: str) -> None:
    """Let the user NAME in again."""
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        services.users.enable(name, by=operator)
    click.echo(f"{name} may sign in again.")


@users.command()
@click.argument("name")
@_WITHOUT
@_OPERATOR
def reset(name: str, no_second_factor: bool, operator: str) -> None:
    """Make a new password and a new second factor for the user NAME, print both, and end open sessions."""
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        made = services.users.reset(name, by=operator, has_second_factor=not no_second_factor)
    _show(name, made)


@contextmanager
def _refusals_in_words() -> Iterator[None]:
    """Around what may be refused: the reason, and exit code 1."""
    try:
        yield
    except (RefusedError, ConflictError) as error:
        raise click.ClickException(str(error)) from error


def _show(name: str, made: UserCredentials) -> None:
    click.echo("This is not shown again. Hand it over in person, or by a way that nobody else reads.", err=True)
    click.echo(f"name      {name}")
    click.echo(f"password  {made.password}")
    if made.shared_secret:
        click.echo(f"secret    {made.shared_secret}")
        click.echo(f"address   {made.otpauth}")


def _as_json(user: UserRecord) -> dict[str, object]:
    return {
        "name": user.name,
        "role": user.role.value,
        "hasSecondFactor": user.second_factor is not None,
        "isFederated": user.is_federated,
        "createdAt": user.created_at,
        "disabledAt": user.disabled_at,
    }
