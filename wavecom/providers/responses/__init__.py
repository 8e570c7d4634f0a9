"""Reading HTTP responses of providers: what a status means, which details a body or a header adds."""

from wavecom.providers.responses.details import json_field, phrase, retry_after_seconds
from wavecom.providers.responses.error_log import ThrottledErrorLog
from wavecom.providers.responses.statuses import StatusMeaning, StatusTable

__all__ = ["StatusMeaning", "StatusTable", "ThrottledErrorLog", "json_field", "phrase", "retry_after_seconds"]
