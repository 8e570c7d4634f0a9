"""Secrets of callbacks: whether this machine has the key that they are kept encrypted with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from pymongo.errors import PyMongoError

from wavecom.callbacks.sealed_secrets import SecretSealer
from wavecom.core.callbacks import Callback
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.diagnosis.mongodb import open_database
from wavecom.errors import StoreError
from wavecom.services.callback_administration import KEY_FILE
from wavecom.settings import Settings
from wavecom.storage.mongo.callbacks import MongoCallbackStore

_SUBJECT: Final = "WAVECOM_CALLBACK_KEYS"


def check_callbacks(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Whether what is kept can be read here. Where it can't, the workers of this machine call none of the endpoints.

    Without the setting each machine has a key of its own, in a file, and reads what was made there alone. A file that
    is not there yet is not made.
    """
    settings = context.settings
    try:
        keys = settings.callback_keys or _key_in_file(settings)
    except OSError as error:
        text = f"is not set, and the file that has its place can't be read ({error.strerror})"
        yield CheckResult("callbacks", _SUBJECT, Severity.ERROR, text, f"ls -l {settings.home / KEY_FILE}")
        return
    sealer = SecretSealer(keys) if keys else None
    try:
        with open_database(context) as database:
            store = MongoCallbackStore(
                database,
                seal=lambda _secret: "",  # nothing is written here
                unseal=lambda sealed: None if sealer is None else sealer.open(sealed),
            )
            callbacks = store.of_accounts(None)
    except (PyMongoError, StoreError):
        text = "not known while MongoDB does not answer"
        yield CheckResult("callbacks", _SUBJECT, Severity.WARNING, text, "wavecom doctor mongodb")
        return
    unreadable = [each for each in callbacks if _is_unreadable(each, context.now())]
    if unreadable:
        yield _wrong_key(settings, len(unreadable), len(callbacks))
    else:
        source = "" if settings.callback_keys or not callbacks else f", with the key of this machine's {KEY_FILE} alone"
        yield CheckResult(
            "callbacks",
            _SUBJECT,
            Severity.OK,
            f"the secrets of all {len(callbacks)} callbacks can be read here{source}",
        )


def _key_in_file(settings: Settings) -> Sequence[str]:
    try:
        text = (settings.home / KEY_FILE).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ()
    return (text,) if text else ()


def _is_unreadable(callback: Callback, now: datetime) -> bool:
    """Whether one of the secrets that it is to be signed with can't be read."""
    return any(
        secret.value is None and (secret.expires_at is None or secret.expires_at > now) for secret in callback.secrets
    )


def _wrong_key(settings: Settings, unreadable: int, total: int) -> CheckResult:
    text = (
        f"this machine can't read the secrets of {unreadable} of {total} callbacks, so its workers do not call them: "
    )
    if settings.callback_keys:
        text += "put the key that they were kept with, which other machines have, after the first one and start again"
        remedy = 'export WAVECOM_CALLBACK_KEYS="$WAVECOM_CALLBACK_KEYS,THE_OTHER_KEY"'
    else:
        text += (
            f"it is not set, and each machine has a {KEY_FILE} of its own. Give all machines the one of the machine "
            "where they were made, and start web and worker processes again"
        )
        remedy = f'export WAVECOM_CALLBACK_KEYS="$(ssh THAT_MACHINE cat {settings.home / KEY_FILE})"'
    return CheckResult("callbacks", _SUBJECT, Severity.ERROR, text, remedy)
