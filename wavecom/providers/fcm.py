"""``type = "fcm"``: push to Android, and to whatever else has a token of Firebase Cloud Messaging, by its HTTP v1 API.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAspect, AccountClient, AccountFinding
from wavecom.providers.api.base import ApiOptions, ApiProvider, finding_of
from wavecom.providers.base import ProviderDependencies, UnpreparedError
from wavecom.providers.base_http import json_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import text
from wavecom.providers.push.fcm_message import fcm_error_code, fcm_message
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_field
from wavecom.providers.tokens.google import ServiceAccount, service_account
from wavecom.providers.tokens.refreshed import RefreshedToken, TokenError
from wavecom.providers.transport import Request, Response

REJECTED, UNAVAILABLE, UNKNOWN = Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN

#: https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode and
#: https://firebase.google.com/docs/cloud-messaging/error-codes
ANSWERS = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: REJECTED,
        401: AnswerMeaning.account(Reason.CREDENTIALS, "Google refuses the access token: check service_account_file"),
        403: AnswerMeaning.account(
            Reason.CREDENTIALS, "the service account may not send, or the API is off: enable it"
        ),
        404: AnswerMeaning.account(Reason.CREDENTIALS, "there is no such project: check service_account_file"),
        413: REJECTED,
        422: REJECTED,
        429: UNAVAILABLE,
        "4xx": AnswerMeaning(UNAVAILABLE, check="FCM doesn't take what WaveCom sends: check base_url"),
        "3xx": AnswerMeaning(UNAVAILABLE, Scope.PROVIDER, "a redirect, which is not followed: check base_url"),
        500: UNAVAILABLE,
        503: UNAVAILABLE,
        "5xx": UNKNOWN,
    },
    {
        "UNREGISTERED": AnswerMeaning.recipient(Reason.RECIPIENT_GONE),
        # Not a code of FCM's: INVALID_ARGUMENT whose details name the token.
        "INVALID_TOKEN": AnswerMeaning.recipient(Reason.RECIPIENT_INVALID),
        "INVALID_ARGUMENT": REJECTED,
        # Of one token, or of all where the file is another project's: nobody is suppressed for it.
        "SENDER_ID_MISMATCH": AnswerMeaning(
            REJECTED, Scope.RECIPIENT, "tokens of another Firebase project: check service_account_file"
        ),
        "QUOTA_EXCEEDED": AnswerMeaning.limit(),
        "UNAVAILABLE": UNAVAILABLE,
        "INTERNAL": UNAVAILABLE,
        # Of Apple devices or browsers alone; Android's messages go on.
        "THIRD_PARTY_AUTH_ERROR": AnswerMeaning(
            UNAVAILABLE, Scope.MESSAGE, "Firebase has no valid APNs key or Web Push key: upload it in its console"
        ),
    },
)

#: Without Retry-After, for 429: https://firebase.google.com/docs/cloud-messaging/scale-fcm ("handle retries").
QUOTA_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FcmOptions(ApiOptions):
    """The type's own keys."""

    service_account_file: Annotated[str, text(check=service_account)]


class FcmProvider(ApiProvider[FcmOptions]):
    """FCM knows no idempotency key: a repetition takes the place of what is shown, by its tag."""

    options_class: ClassVar[type[FcmOptions]] = FcmOptions
    channels = frozenset({Channel.PUSH})
    answers = ANSWERS
    own_base_url = "https://fcm.googleapis.com"

    def __init__(self, config: ProviderConfig[FcmOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self._account: ServiceAccount = service_account(self.options.service_account_file)
        self._url = f"{self.base_url}/v1/projects/{self._account.project_id}/messages:send"
        self._token = RefreshedToken(
            self.name,
            lambda: self._account.new_token(dependencies.account_client, dependencies.clock, self.options.ca_file),
        )

    def may_wait(self, message: Message) -> bool:
        """See ``BaseHttpProvider``: before the first token, and while there is none."""
        return self._token.current is None

    def request(self, message: Message) -> Request:
        """The message in FCM's words, with the access token of the moment."""
        body = json_body({"message": fcm_message(message, self.dependencies.clock.now())})
        seconds = self.config.timeout_seconds
        token = self._token.current
        if token is None:
            seconds /= 2
            token = self._awaited_token(seconds)
        return Request(self._url, body, self._headers(token), seconds, self.options.ca_file)

    def answer_code(self, response: Response) -> str | None:
        """``details[].errorCode``, which says more than the status."""
        return fcm_error_code(response.body)

    def message_id(self, response: Response) -> str | None:
        """``projects/<project>/messages/<id>``."""
        return json_field(response, "name")

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        """A refused token is replaced, once: only a refusal of the new one is trouble of our account."""
        result = super().interpret(response, message)
        if result.code == "http_401" and self._token.refused():
            return replace(result, scope=Scope.MESSAGE, reason=None)
        if response.status == 429 and result.retry_after_seconds is None:
            return replace(result, retry_after_seconds=QUOTA_WAIT_SECONDS)
        return result

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """Whether a message to a topic would be taken: ``validate_only`` sends nothing."""
        try:
            token = self._account.new_token(client, self.dependencies.clock, self.options.ca_file)
        except TokenError as error:
            return [AccountFinding(AccountAspect.CREDENTIALS, False, str(error))]
        body = json_body({"validate_only": True, "message": {"topic": "wavecom-check", "data": {"check": "1"}}})
        headers = self._headers(token.value)
        answer = client.call("POST", self._url, headers=headers, body=body, ca_file=self.options.ca_file)
        if answer.status == 200:
            text = f"the service account may send for the project {self._account.project_id}"
            return [AccountFinding(AccountAspect.CREDENTIALS, True, text)]
        meaning = ANSWERS.meaning(answer.status, fcm_error_code(answer.body))
        return [finding_of(meaning, f"FCM answered {answer.status}")]

    def close(self) -> None:
        """Ends the thread that renews the token."""
        self._token.close()

    def _headers(self, token: str) -> dict[str, str]:
        return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def _awaited_token(self, seconds: float) -> str:
        try:
            return self._token.wait(seconds)
        except TokenError as error:
            result = ProviderResult(UNAVAILABLE, "fcm_token", str(error), scope=Scope.PROVIDER, reason=error.reason)
            raise UnpreparedError(result) from error
