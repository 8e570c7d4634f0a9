"""The base class of providers over HTTP. A provider says what to send; the base says what a response means."""

from __future__ import annotations

import traceback
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePath
from typing import Any, ClassVar, final
from urllib.parse import quote_plus

import orjson

from wavecom.core.exhaustion import is_exhaustion, unclear
from wavecom.core.job import ACCOUNT_REASONS, Outcome, ProviderResult, Reason, Scope
from wavecom.core.ports import (
    Message,
    OnResult,
)
from wavecom.providers.base import (
    BaseProvider,
    ProviderDependencies,
    UnpreparedError,
    UnsendableError,
    before_the_call,
)
from wavecom.providers.configuration.values import OptionsT, ProviderConfig
from wavecom.providers.responses import AnswerMeaning, AnswerTable, ThrottledErrorLog, phrase, retry_after_seconds
from wavecom.providers.transport import (
    HttpVersion,
    NotSentError,
    Request,
    Response,
    TransportError,
    TransportFault,
    UnclearError,
)


class BaseHttpProvider(BaseProvider[OptionsT]):
    """A provider whose call is one HTTP request: the subclass says what to send and, where the status does not say
    enough, what a response means.

    ``send`` (a thread waits) and ``start`` (none does) belong to this class and are final: a subclass that reads
    responses in its own way overrides ``interpret``, which both call.
    """

    answers: AnswerTable
    #: Who waits where no connection comes: everybody, unless each message may go to another host.
    unreachable_scope: ClassVar[Scope] = Scope.PROVIDER
    http_version: ClassVar[HttpVersion] = HttpVersion.HTTP_1_1
    #: A status of success means nothing without the body: such a provider's body is waited for to the deadline, and
    #: where it does not come whole nobody can tell what it said.
    body_decides: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        overridden = {"send", "start"} & vars(cls).keys()
        if overridden:
            raise TypeError(f"{cls.__name__} must not define {sorted(overridden)}: override interpret, which both call")

    def __init__(self, config: ProviderConfig[OptionsT], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self._error_log = ThrottledErrorLog(config.name, dependencies.clock.monotonic)

    def answer_code(self, response: Response) -> str | None:
        """The provider's own code in an answer's body (``"21610"``), for ``answers.codes``; None where there is none.

        Asked only where the table has codes. What it raises is logged; the status counts.
        """
        return None

    @abstractmethod
    def request(self, message: Message) -> Request:
        """What to send; headers in ASCII. Raises ``UnsendableError``."""

    def may_wait(self, message: Message) -> bool:
        """Whether ``request`` may have to wait (for a token, a name look-up): then a thread calls it, by ``send``.

        Asked before each call, so it must be quick. What must be waited for and does not come is ``UnpreparedError``.
        """
        return False

    def message_id(self, response: Response) -> str | None:
        """The provider's own id of an accepted message; None where the response holds none."""
        return None

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        """What ``response`` means for ``message``: by its status, unless a subclass looks further.

        To be overridden where the status does not say all; the override begins with ``super().interpret(…)``, and
        declares ``body_decides`` where it looks at bodies of status 2xx. What it raises is logged; the status counts.
        """
        result = self._result_by_table(response, message, self._code(response))
        if result.outcome is Outcome.ACCEPTED:
            return replace(result, message_id=self.message_id(response))
        if result.outcome is Outcome.REJECTED or result.scope is Scope.PROVIDER:
            # What people must put right does not end by waiting, and one such answer would hold everybody for a while.
            return result
        wait = retry_after_seconds(response.headers.get("retry-after"), self.dependencies.clock.now())
        return replace(result, retry_after_seconds=wait)

    @final
    def send(self, message: Message) -> ProviderResult:
        """See ``core.ports.Provider.send``."""
        try:
            with before_the_call(UnpreparedError):
                request = self._request(message)
            response = self.dependencies.transport.send(request)
        except (UnpreparedError, UnsendableError, TransportError) as error:
            return self._result_of_error(error)
        try:
            return self._interpreted(response, message)
        except Exception as error:
            if is_exhaustion(error):
                return unclear(error)  # an answer came, so this is no call that was not begun
            raise

    @final
    def start(self, message: Message, on_result: OnResult) -> bool:
        """See ``core.ports.AsyncProvider.start``."""

        def on_end(end: Response | Exception) -> None:
            try:
                result: ProviderResult | Exception = (
                    self._interpreted(end, message) if isinstance(end, Response) else self._result_of_error(end)
                )
            except Exception as error:  # noqa: BLE001 - handed on: whose thread this is could do nothing with it
                result = error
            on_result(result)

        if self.may_wait(message):
            return False
        try:
            request = self._request(message)
        except (UnpreparedError, UnsendableError) as error:
            on_result(self._result_of_error(error))
            return True
        return self.dependencies.transport.start(request, on_end)

    def _result_of_error(self, error: Exception) -> ProviderResult:
        return _result_of_error(error, self.unreachable_scope)

    def _request(self, message: Message) -> Request:
        request = self.request(message)
        if self.body_decides or request.http_version is not self.http_version:
            return replace(request, waits_for_body=self.body_decides, http_version=self.http_version)
        return request

    def _interpreted(self, response: Response, message: Message) -> ProviderResult:
        """The result of a response: from ``interpret``, or from the status alone where that raises."""
        if self.body_decides and not response.is_complete and 200 <= response.status < 300:
            return ProviderResult(
                Outcome.UNKNOWN, TransportFault.SHORT_ANSWER.value, "the body that decides did not come whole"
            )
        try:
            return self.interpret(response, message)
        except Exception as error:  # noqa: BLE001 - whatever a body brought about, the status was read
            self._report_unreadable(error)
        result = self._result_by_table(response, message, None)
        if self.body_decides and result.outcome is Outcome.ACCEPTED:
            return replace(result, outcome=Outcome.UNKNOWN, message="the body that decides could not be read")
        return result

    def _code(self, response: Response) -> str | None:
        """The provider's code in the body, where the table names it."""
        if not self.answers.codes:
            return None
        try:
            code = self.answer_code(response)
        except Exception as error:  # noqa: BLE001 - a body may be anything; the status was read
            self._report_unreadable(error)
            return None
        return code if code in self.answers.codes else None

    def _report_unreadable(self, error: Exception) -> None:
        # By its place and not by its text, which may hold what the body held.
        self._error_log.report("answer_unreadable", type(error).__name__, error=type(error).__name__, at=_place(error))

    def _result_by_table(self, response: Response, message: Message, code: str | None) -> ProviderResult:
        status = response.status
        meaning = self.answers.meaning(status, code)
        outcome = meaning.outcome
        # The answer's body may repeat the recipient, so nothing of it is told but a code that the table names.
        name = f"http_{status}" if code is None else f"{self.config.type}_{code}"
        chosen = refused_own_sender(meaning, message)
        if chosen is not None:
            text = f"{phrase(status)}: this account may not send from payload.{chosen}"
            return ProviderResult(outcome, name, text, scope=Scope.MESSAGE, is_final_here=True, reason=meaning.reason)
        if meaning.check:
            # Trouble of our account opens the breaker, which tells of it once for all processes.
            is_reported_elsewhere = meaning.reason in ACCOUNT_REASONS
            self._error_log.report(
                "provider_refuses_us",
                code or status,
                is_reported_elsewhere=is_reported_elsewhere,
                status=status,
                code=code,
                check=meaning.check,
            )
        if outcome is Outcome.ACCEPTED:
            return ProviderResult(outcome, f"http_{status}")
        if status == 500 and outcome is Outcome.UNAVAILABLE and message.stops_on_unknown:
            # A server that fell over in the middle may have sent the message before.
            outcome = Outcome.UNKNOWN
        return ProviderResult(
            outcome,
            name,
            phrase(status),
            scope=meaning.scope,
            is_final_here=meaning.is_final_here,
            reason=meaning.reason,
            is_limit=meaning.is_limit,
        )


def refused_own_sender(meaning: AnswerMeaning, message: Message) -> str | None:
    """The field of the payload in which the message itself named the sender that is refused; None: it is about others
    as well, as where its route named it.

    What one message chose for itself holds back no other.
    """
    if meaning.reason is not Reason.SENDER or meaning.holds_for_any_sender:
        return None
    return message.own_sender_field


def _place(error: BaseException) -> str:
    """File and line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _result_of_error(error: Exception, unreachable_scope: Scope) -> ProviderResult:
    """The result of a call that got no response. Raises any other error, which is a bug."""
    match error:
        case UnsendableError(is_final_here=True):
            return ProviderResult(
                Outcome.UNAVAILABLE, "unsendable", str(error), scope=Scope.MESSAGE, is_final_here=True
            )
        case UnsendableError():
            return ProviderResult(Outcome.REJECTED, "unsendable", str(error), scope=Scope.MESSAGE)
        case UnpreparedError():
            return error.result
        case NotSentError(is_bug=True):
            # Said of nobody: an attempt of this message is used up, or it would be tried for ever.
            return ProviderResult(Outcome.UNAVAILABLE, error.fault.value, "a fault of WaveCom before the call")
        case NotSentError():
            scope = Scope.WORKER if error.fault is TransportFault.NOT_BEGUN else unreachable_scope
            return ProviderResult(Outcome.UNAVAILABLE, error.fault.value, str(error), scope=scope)
        case UnclearError():
            return ProviderResult(Outcome.UNKNOWN, error.fault.value, f"{error} after the request was sent")
        case _:
            raise error


def form_body(fields: Mapping[str, object]) -> bytes:
    """``fields`` as an HTML form (``application/x-www-form-urlencoded``) in UTF-8, without those that are None.

    Raises ``UnsendableError``.
    """
    try:
        # As urlencode, at half its cost: names are always the same ones, and many values need no quotes.
        given = [f"{_quoted_name(name)}={_quoted(str(each))}" for name, each in fields.items() if each is not None]
        return "&".join(given).encode()
    except UnicodeEncodeError:
        raise UnsendableError("a part of the message can't be written in UTF-8") from None


_quoted_name = lru_cache(maxsize=256)(quote_plus)


def _quoted(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote_plus(text)


def json_body(content: object) -> bytes:
    """``content`` as JSON in UTF-8. Raises ``UnsendableError``."""
    try:
        return orjson.dumps(content, default=dict)  # messages hold mappings of any kind
    except orjson.JSONEncodeError:
        raise UnsendableError("a part of the message can't be written as JSON") from None
