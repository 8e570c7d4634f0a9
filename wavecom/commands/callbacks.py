"""``wavecom callbacks``: the endpoints of all clients, and what became of the events that they were sent."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from wavecom.commands.console import console, explaining_errors, open_services, print_json, table_of, time_text
from wavecom.core.callback_schedule import is_slowed
from wavecom.core.callbacks import Callback, CallbackDelivery, CallbackState, DeliveryState
from wavecom.errors import CallbackNotFoundError

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group("callbacks", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def callbacks() -> None:
    """List clients' callbacks, and what became of the events that each was sent.

    Of an endpoint's address the host alone is shown: its path may hold a secret of the client's. To change, pause or
    delete a callback is its client's own affair.

    \b
    Whose endpoints are in trouble, and what they answer:
      wavecom callbacks list --failing
      wavecom callbacks deliveries CALLBACK_ID --state failed

    \b
    Exit code: 0 done, 1 a server is away or there is no such callback, 2 asked for wrongly.
    """


@callbacks.command("list")
@click.option("--client", metavar="NAME", help="Of this client alone; NAME:test for its test account.")
@click.option("--state", type=click.Choice([each.value for each in CallbackState]), help="In this state alone.")
@click.option("--failing", "is_failing", is_flag=True, help="Those alone whose last call failed, or that are disabled.")
@_AS_JSON
def list_(client: str | None, state: str | None, is_failing: bool, as_json: bool) -> None:
    """List callbacks, the oldest first."""
    services = open_services()
    with explaining_errors():
        found = services.callbacks.all(client)
    found = [
        each
        for each in found
        if (state is None or each.state is CallbackState(state))
        and (not is_failing or each.failures or each.state is CallbackState.DISABLED)
    ]
    if as_json:
        for callback in found:
            print_json(_callback_json(callback))
        return
    table = table_of(
        "callback",
        "client",
        "host",
        "state",
        "failed in a row",
        "since (UTC)",
        "next (UTC)",
        whole=frozenset({"callback"}),
    )
    for callback in found:
        table.add_row(
            callback.callback_id,
            callback.account,
            _host(callback),
            _state(callback),
            str(callback.failures or ""),
            time_text(callback.failing_since),
            time_text(callback.not_before),
        )
    console().print(table)


@callbacks.command()
@click.argument("callback_id", metavar="CALLBACK")
@click.option("--state", type=click.Choice([each.value for each in DeliveryState]), help="In this state alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many at most.")
@_AS_JSON
def deliveries(callback_id: str, state: str | None, limit: int, as_json: bool) -> None:
    """List what was sent to one endpoint, newest first, with its last try."""
    services = open_services()
    wanted = None if state is None else DeliveryState(state)
    with explaining_errors():
        try:
            found = services.callbacks.deliveries(callback_id, None, limit, state=wanted)
        except CallbackNotFoundError as error:
            raise click.ClickException(
                f"There is no callback {callback_id}. `wavecom callbacks list` shows those that there are."
            ) from error
    if as_json:
        for delivery in found:
            print_json(_delivery_json(delivery))
        return
    table = table_of(
        "event", "type", "state", "tries", "last try (UTC)", "answer", "next (UTC)", whole=frozenset({"event"})
    )
    for delivery in found:
        last = delivery.tries[-1] if delivery.tries else None
        answer = "" if last is None else last.fault or str(last.status)
        last_at = time_text(last.at) if last else ""
        table.add_row(
            delivery.event_id,
            delivery.type,
            delivery.state,
            str(delivery.tried),
            last_at,
            answer,
            time_text(delivery.due_at),
        )
    console().print(table)


def _host(callback: Callback) -> str:
    return urlsplit(callback.url).netloc.rpartition("@")[2]


def _state(callback: Callback) -> str:
    if callback.disabled_reason is not None:
        return f"{callback.state} ({callback.disabled_reason})"
    return f"{callback.state}, slowed" if is_slowed(callback) else callback.state


def _callback_json(callback: Callback) -> dict[str, object]:
    return {
        "callbackId": callback.callback_id,
        "client": callback.account,
        "name": callback.name,
        "host": _host(callback),
        "state": callback.state,
        "disabledReason": callback.disabled_reason,
        "isSlowed": is_slowed(callback),
        "failures": callback.failures,
        "failingSince": callback.failing_since,
        "notBefore": callback.not_before,
        "createdAt": callback.created_at,
    }


def _delivery_json(delivery: CallbackDelivery) -> dict[str, object]:
    return {
        "eventId": delivery.event_id,
        "type": delivery.type,
        "state": delivery.state,
        "tried": delivery.tried,
        "nextTryAt": delivery.due_at,
        "tries": [
            {"at": each.at, "durationMs": each.duration_ms, "status": each.status, "fault": each.fault}
            for each in delivery.tries
        ],
    }
