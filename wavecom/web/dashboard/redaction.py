"""A notification as a viewer sees it who may not read messages: recipient masked, no text, no address in any reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from wavecom.core.job import Job
from wavecom.observability import masked
from wavecom.web.dashboard.formatting import address

#: Parts of a recipient that are masked; what is in neither list is left out.
_MASKED: Final = ("email", "phone", "token")
_KEPT: Final = ("platform",)
#: Shorter parts of a recipient stand in ordinary words too.
_LEAST_LENGTH: Final = 4


def redacted(job: Job) -> Job:
    """``job`` without what only the recipient and the sender should know. Providers quote addresses in reasons."""
    secrets = sorted(_secrets(job), key=len, reverse=True)
    patterns = [_in_any_form(each) for each in secrets]
    pattern = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def without(text: str) -> str:
        return text if pattern is None else pattern.sub("…", text)

    error = job.error if job.error is None else replace(job.error, message=without(job.error.message))
    logs = tuple(replace(entry, message=entry.message and without(entry.message)) for entry in job.logs)
    metadata = {name: without(value) if isinstance(value, str) else value for name, value in job.metadata.items()}
    key = job.idempotency_key and without(job.idempotency_key)
    return replace(job, to=_recipient(job), payload={}, error=error, logs=logs, metadata=metadata, idempotency_key=key)


def _recipient(job: Job) -> Mapping[str, Any]:
    to: dict[str, Any] = {name: masked(str(job.to[name])) for name in _MASKED if name in job.to}
    to |= {name: job.to[name] for name in _KEPT if name in job.to}
    if "subscription" in job.to:
        to["subscription"] = {"endpoint": masked(address(job.type, job.to))}
    return to


def _in_any_form(secret: str) -> str:
    """A pattern for it; of a number also as people write it, in groups."""
    return r"[\s().\-/]*".join(secret) if secret.isdecimal() else re.escape(secret)


def _secrets(job: Job) -> set[str]:
    texts = {str(value) for name, value in job.to.items() if name not in _KEPT and isinstance(value, str)}
    texts.add(address(job.type, job.to))
    # Numbers are written without the plus as well.
    texts |= {text.removeprefix("+") for text in texts}
    return {text for text in texts if len(text) >= _LEAST_LENGTH}
