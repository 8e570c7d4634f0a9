"""``wavecom providers explain``: which route a notification goes by, why not by the others, and how it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from wavecom.commands.changed_weights import ChangedWeights
from wavecom.commands.console import console, table_of, time_text
from wavecom.commands.provider_services import open_services
from wavecom.core.account import CLIENT_NAME_RULE, account_of, is_client_name
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import NewNotification
from wavecom.core.regions import problems
from wavecom.core.routes import ChannelRoutes, Route
from wavecom.errors import UnavailableError
from wavecom.routing.summary import ProviderSummary
from wavecom.services.provider_control import ProviderServices

_PHONE = re.compile(r"\+[1-9][0-9]{2,14}")


def _recipient(channel: Channel, to: str, platform: str | None) -> Mapping[str, Any]:
    if channel is Channel.EMAIL:
        return {"email": to}
    if channel is Channel.PUSH:
        if platform is None:
            raise click.UsageError("A push message needs --platform fcm, apns or webpush.")
        return {"platform": platform, "token": to}
    number = re.sub(r"[ ()./-]", "", to)
    if not _PHONE.fullmatch(number):
        raise click.UsageError("--to must be a number with + and the country code, such as +447700900123.")
    return {"phone": number}


def _tags(values: Sequence[str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--tag {value!r} must be NAME=VALUE, as in metadata.")
        found[name] = text
    return found


def _client(value: str) -> str:
    if not is_client_name(value):
        raise click.BadParameter(f"A client's name has {CLIENT_NAME_RULE}.")
    return value


@click.command("explain")
@click.option("--type", "channel", type=click.Choice([each.value for each in Channel]), required=True)
@click.option("--to", metavar="RECIPIENT", required=True, help="Number, mail address, or token.")
@click.option("--client", type=_client, required=True, help="Whose notification it is.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A name in metadata; may be repeated.")
@click.option("--platform", type=click.Choice(["fcm", "apns", "webpush"]), help="Of a push message.")
@click.option("--region", metavar="REGION", help="As in the field region; without it the rules of [regions] decide.")
@click.option("--test", "is_test", is_flag=True, help="Sent with a test key.")
@click.pass_context
def explain(
    context: click.Context,
    channel: str,
    to: str,
    client: str,
    tags: Sequence[str],
    platform: str | None,
    region: str | None,
    is_test: bool,
) -> None:
    """Say which route a notification would go by now, why not by those before it, and how its providers stand.

    Reads the providers file, and asks Redis how the providers stand; nobody is called.

    \b
      wavecom providers explain --type sms --to +447700900123 --client shop --tag kind=otp

    Exit code: 0 there is a route, 3 there is none: sending it is refused (422 channel_not_served).
    """
    services = open_services()
    kind = Channel(channel)
    sample = NewNotification(
        client=account_of(client, not is_test),
        type=kind,
        to=_recipient(kind, to, platform),
        payload={},
        metadata=_tags(tags),
    )
    routes = services.routes.get(kind, ChannelRoutes(()))
    found = routes.route_of(sample)
    lines = table_of("ROUTE", "FOR", "", whole=frozenset({"ROUTE"}))
    for route in routes.routes:
        lines.add_row(route.name or channel, str(route.conditions), _match_text(route, found, sample))
    if wrong := problems(region, services.regions):
        raise click.UsageError(f"--region {region} {wrong[0].message}.")
    where = "" if services.regions is None else services.regions.of(region, sample)
    out = console()
    if where:
        out.print(f"It is delivered in the region {where}.\n", soft_wrap=True)
    if routes.routes:
        out.print(lines)
    if found is None and is_test:
        out.print("\nThe sandbox of the workers takes it: nothing of a test account reaches anybody.", soft_wrap=True)
    elif found is None:
        out.print("\nNo route is for it: sending it is refused (422 channel_not_served).", soft_wrap=True)
        context.exit(3)
    else:
        out.print(f"\nIt goes by {found.name or channel}{f', as {found.sender}' if found.sender else ''}:")
        weights = ChangedWeights.read(services)
        out.print(_providers(found, weights, services, where))
        for each in (each for step in found.steps for each in step.alternatives):
            if each.provider in weights:
                out.print(f"{each.provider}: weight {weights.text(each.provider, f'{each.weight:g}')}", soft_wrap=True)


def _match_text(route: Route, found: Route | None, sample: NewNotification) -> str:
    if route is found:
        return "this one"
    return route.conditions.mismatch(sample) or "another before it takes it"


def _providers(route: Route, weights: ChangedWeights, services: ProviderServices, region: str) -> Any:
    try:
        now = services.clock.now()
        states = {each.provider: ProviderSummary.of(each, now) for each in services.switch.health()}
    except UnavailableError:
        states = {}
    table = table_of("STEP", "PROVIDER", "SHARE", "STATE", "UNTIL (UTC)", "REASON", whole=frozenset({"PROVIDER"}))
    for step, provider, share in _steps(weights.applied_to(route)):
        state = states.get(provider)
        if region not in services.bound.get(provider, (region,)):
            table.add_row(step, provider, share, f"never called for jobs of {region or 'no region'}")
        elif state is None:
            table.add_row(step, provider, share, "not known: Redis does not answer")
        else:
            table.add_row(step, provider, share, state.state, time_text(state.until), state.reason)
    return table


def _steps(route: Route) -> Iterator[tuple[str, str, str]]:
    for number, step in enumerate(route.steps, 1):
        total = sum(each.weight for each in step.alternatives)
        for each in step.alternatives:
            yield str(number), each.provider, f"{each.weight / total:.0%}" if total else "equal"
