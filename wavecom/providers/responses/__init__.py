"""Reading HTTP responses of providers: what a status means, which details a body or a header adds."""

from wavecom.providers.responses.answers import AnswerMeaning, AnswerTable
from wavecom.providers.responses.details import json_at, json_field, phrase, retry_after_seconds
from wavecom.providers.responses.error_log import ThrottledErrorLog

__all__ = [
    "AnswerMeaning",
    "AnswerTable",
    "ThrottledErrorLog",
    "json_at",
    "json_field",
    "phrase",
    "retry_after_seconds",
]
