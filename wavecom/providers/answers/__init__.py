"""Reading what a provider answers: what a status means, which details a body or a header adds."""

from wavecom.providers.answers.details import json_field, phrase, retry_after_seconds
from wavecom.providers.answers.statuses import Meaning, StatusTable
from wavecom.providers.answers.trouble import TroubleLog

__all__ = ["Meaning", "StatusTable", "TroubleLog", "json_field", "phrase", "retry_after_seconds"]
