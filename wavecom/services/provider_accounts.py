"""Services of the commands that ask providers about our account and send a message by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from wavecom.core.job import JobId, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock, Message
from wavecom.core.provider_control import ProviderAction, ProviderAudit, ProviderEvent
from wavecom.providers.account import AccountAspect, AccountClient, AccountFinding
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.base import BaseProvider, ProviderDependencies
from wavecom.providers.factory import load_config
from wavecom.providers.registry import provider_class
from wavecom.providers.transport import make_transport
from wavecom.services.shared import ClosableServices, receipts_url_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.outbox import MongoOutbox

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccounts(ClosableServices):
    """The providers of the file, built as a worker builds them, without gate and queue."""

    providers: Mapping[str, BaseProvider[object]]
    client: AccountClient
    audit: ProviderAudit
    clock: Clock
    new_id: Callable[[], str]

    def findings(self, name: str) -> Sequence[AccountFinding]:
        """What the provider says of our account; sends nothing, and never raises."""
        try:
            found = self.providers[name].check_account(self.client)
        except OSError as error:
            return [AccountFinding(AccountAspect.CREDENTIALS, False, f"no answer: {error}")]
        except Exception as error:
            # A bug in one type must not keep the others from being asked.
            log.exception("account_check_failed", provider=name)
            return [AccountFinding(AccountAspect.CREDENTIALS, False, f"{type(error).__name__} while it was asked")]
        return found or [AccountFinding(AccountAspect.CREDENTIALS, None, "this type can't be asked without sending")]

    def send_test(
        self, name: str, channel: Channel, to: Mapping[str, object], payload: Mapping[str, object], *, actor: str
    ) -> ProviderResult:
        """Send one message past queue, gate and suppression list; no job is kept of it.

        The audit entry is written first, without the recipient. Raises ``StoreError``.
        """
        message_id = self.new_id()
        self.audit.record_provider_event(
            ProviderEvent(
                message_id, ProviderAction.SEND_TEST, actor, self.clock.now(), name, f"a test message, {channel}"
            )
        )
        message = Message(
            job_id=JobId(message_id),
            delivery_key=message_id,
            type=channel,
            to=to,
            payload=payload,
            metadata={},
            attempt=1,
            stops_on_unknown=True,
        )
        return self.providers[name].send(message)


def provider_accounts(settings: Settings, new_id: Callable[[], str]) -> ProviderAccounts:
    """Services of ``wavecom providers check`` and ``send-test``; asks no server of ours yet.

    Raises ``ProvidersFileError``.
    """
    config = load_config(settings.providers_file, settings.environment)
    mongo = connect_mongo(settings.mongodb_uri, pool_size=1)
    database = default_database(mongo)
    # Never anchored to the store's: a check must go on where there is no store.
    clock = StoreClock(lambda: datetime.now(UTC))
    transport = make_transport()
    client = HttpAccountClient()
    dependencies = ProviderDependencies(
        transport=transport,
        outbox=MongoOutbox(database),
        clock=clock,
        account_client=client,
        receipts_url=receipts_url_of(settings),
    )
    providers = {name: provider_class(each.type)(each, dependencies) for name, each in config.providers.items()}
    closing = [each.close for each in providers.values()]
    return ProviderAccounts(
        providers=providers,
        client=client,
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=new_id,
        close_callbacks=[*closing, transport.close, client.close, mongo.close],
    )
