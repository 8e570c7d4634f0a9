"""The providers file, how workers find the providers, and, where it is asked for, our account with each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import redis

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.core.ids import uuid7
from wavecom.core.lanes import Channel
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.diagnosis.redis import open_redis
from wavecom.errors import ProvidersFileError, UnavailableError
from wavecom.providers.configuration import ProvidersConfig
from wavecom.providers.factory import check_http_versions, load_config
from wavecom.providers.transport import make_transport
from wavecom.services.provider_accounts import provider_accounts
from wavecom.storage.redis.provider_board import RedisProviderBoard

_CHECK: Final = "providers"
_FILE: Final = "providers file"
_SEVERITIES: Final = {True: Severity.OK, False: Severity.ERROR, None: Severity.WARNING}


def check_providers(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Configured, called, and, with ``asks_accounts``, known to the provider."""
    settings = context.settings
    try:
        config = load_config(settings.providers_file, settings.environment)
        check_http_versions(config, make_transport().http_versions)
    except ProvidersFileError as error:
        for problem in error.problems:
            yield CheckResult(_CHECK, problem.where, Severity.ERROR, problem.message, "wavecom check")
        return
    yield from _routes(context, config)
    yield from _states(context, config)
    if context.asks_accounts and settings.providers_file is not None:
        yield from _accounts(context)


def _routes(context: DiagnosisContext, config: ProvidersConfig) -> Iterator[CheckResult]:
    if context.settings.providers_file is None:
        text = "WAVECOM_PROVIDERS is not set: the sandbox takes every notification, and it reaches nobody"
        yield CheckResult(_CHECK, _FILE, Severity.WARNING, text, "wavecom check providers.example.toml")
        return
    yield CheckResult(_CHECK, _FILE, Severity.OK, f"can be used: {len(config.providers)} providers")
    for channel in Channel:
        if channel not in config.routes:
            text = "no route: who sends it is refused (422 channel_not_served)"
            yield CheckResult(_CHECK, channel, Severity.WARNING, text, "wavecom check")
    for channel, routes in config.routes.items():
        for name in routes.providers:
            if config.providers[name].type == "sandbox":
                text = f"its live notifications may go to the sandbox {name}, and reach nobody"
                yield CheckResult(_CHECK, channel, Severity.WARNING, text, "wavecom check")


def _states(context: DiagnosisContext, config: ProvidersConfig) -> Iterator[CheckResult]:
    try:
        with open_redis(context) as client:
            board = RedisProviderBoard(client).read()
    except (UnavailableError, redis.RedisError):
        text = "how they stand is not known while Redis does not answer"
        yield CheckResult(_CHECK, "all", Severity.WARNING, text, "wavecom doctor")
        return
    if not board:
        text = "no worker has said within 15 s how they stand"
        yield CheckResult(_CHECK, "all", Severity.WARNING, text, "wavecom start worker")
        return
    for name in config.providers:
        status = board.get(name)
        if status is None or not status.trouble:
            yield CheckResult(_CHECK, name, Severity.OK, "in use" if status else "not known to the workers yet")
            continue
        remedy = "wavecom providers list"
        if status.account:
            remedy = f"wavecom providers check {name}"
        text = status.trouble if not status.reason else f"{status.trouble}: {status.reason}"
        yield CheckResult(_CHECK, name, Severity.ERROR if status.account else Severity.WARNING, text, remedy)


def _accounts(context: DiagnosisContext) -> Iterator[CheckResult]:
    def new_id() -> str:
        return uuid7(datetime.now(UTC), os.urandom(10))

    accounts: Any = provider_accounts(context.settings, new_id)
    try:
        for name in accounts.providers:
            for finding in accounts.findings(name):
                subject = f"{name} {finding.aspect.value}"
                remedy = "" if finding.is_good else f"wavecom providers check {name}"
                yield CheckResult(_CHECK, subject, _SEVERITIES[finding.is_good], finding.text, remedy)
    finally:
        accounts.close()
