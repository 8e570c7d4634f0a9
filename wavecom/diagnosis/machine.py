"""This machine's part: the settings as they are, and the disks of WAVECOM_HOME, MongoDB and RabbitMQ."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from typing import Final

import requests
from pymongo.errors import PyMongoError

from wavecom.core import diagnosis
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis import mongodb
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.settings import Settings

_TIMEOUT_SECONDS: Final = 3.0
#: What is read elsewhere: where the settings' own file is, and by the local launcher.
_READ_ELSEWHERE: Final = frozenset({"WAVECOM_HOME", "WAVECOM_MONGO_SERVER"})


def check_settings(context: DiagnosisContext) -> Iterator[CheckResult]:
    """That they can be read, whoever got this far knows; what they mean all the same."""
    settings = context.settings
    yield CheckResult("settings", "environment", Severity.OK, "every setting can be used")
    file = settings.providers_file
    # What the providers file refers to may have any name.
    text = file.read_text(encoding="utf-8", errors="replace") if file is not None else ""
    names = [name for name in settings.environment if f"${name}" not in text and f"${{{name}}}" not in text]
    yield from diagnosis.unknown_variables(names, settings.known_variables | _READ_ELSEWHERE)
    if settings.amqp.user == "guest" and settings.amqp.password == "guest":  # noqa: S105 - that it is no secret is the point
        remedy = "rabbitmqctl add_user wavecom"
        yield CheckResult("settings", "AMQP_URL", Severity.WARNING, "logs in as guest, which everybody knows", remedy)
    if settings.metrics_port is None:
        text = "is not set: no process serves metrics, so no alert can tell of anything"
        yield CheckResult(
            "settings", "WAVECOM_METRICS_PORT", Severity.WARNING, text, "export WAVECOM_METRICS_PORT=9100"
        )
    yield from _home(settings)


def check_disk(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Room where we, MongoDB and RabbitMQ write."""
    home = context.settings.home
    try:
        usage = shutil.disk_usage(home)
    except OSError as error:
        text = f"can't be read ({error.strerror})"
        yield CheckResult("disk", "WAVECOM_HOME", Severity.ERROR, text, f"mkdir -p {home}")
    else:
        yield diagnosis.disk("WAVECOM_HOME", usage.free, usage.total, f"du -xh --max-depth=2 {home}")
    yield from _mongodb_disk(context)
    if context.settings.rabbitmq_api_url:
        yield from _rabbitmq_disk(context)


def _home(settings: Settings) -> Iterator[CheckResult]:
    try:
        mode = settings.home.stat().st_mode
    except OSError:
        return  # the check of the disk tells
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"{settings.home} is open to other users of this machine, and keeps secrets"
        yield CheckResult("settings", "WAVECOM_HOME", Severity.WARNING, text, f"chmod 700 {settings.home}")


def _mongodb_disk(context: DiagnosisContext) -> Iterator[CheckResult]:
    try:
        with mongodb.open_database(context) as database:
            told = database.command("dbStats")
    except PyMongoError as error:
        yield mongodb.unreachable(error, "disk")
        return
    used, total = told.get("fsUsedSize"), told.get("fsTotalSize")
    if not total:
        yield CheckResult("disk", mongodb.NAME, Severity.OK, "this server does not tell how full its disk is")
        return
    remedy = """mongosh "$MONGODB_URI" --eval 'db.stats()'"""
    yield diagnosis.disk(mongodb.NAME, int(total - used), int(total), remedy)


def _rabbitmq_disk(context: DiagnosisContext) -> Iterator[CheckResult]:
    """RabbitMQ stops taking messages below a limit of its own: twice that is too little."""
    url = f"{context.settings.rabbitmq_api_url.rstrip('/')}/nodes"
    remedy = "rabbitmq-diagnostics status"
    try:
        answer = requests.get(url, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        nodes = answer.json()
    except (requests.RequestException, ValueError) as error:
        # Its own words would show the address, with the password in it.
        text = f"the management API can't be used ({type(error).__name__})"
        yield CheckResult("disk", "RabbitMQ", Severity.WARNING, text, remedy)
        return
    for node in nodes:
        free, limit = node.get("disk_free"), node.get("disk_free_limit")
        if not isinstance(free, int) or not isinstance(limit, int):
            continue
        text = f"{free / 1024**3:.1f} GiB free; at {limit / 1024**3:.1f} GiB it takes no more messages"
        severity = Severity.OK if free > 2 * limit else Severity.WARNING if free > limit else Severity.ERROR
        yield CheckResult("disk", f"RabbitMQ {node['name']}", severity, text, "" if severity is Severity.OK else remedy)
