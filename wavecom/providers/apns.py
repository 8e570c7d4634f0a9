"""``type = "apns"``: push to Apple devices by the Apple Push Notification service, over HTTP/2 with a token.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAspect, AccountCallError, AccountClient, AccountFinding
from wavecom.providers.api.base import ApiOptions, ApiProvider, finding_of
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import matching, text
from wavecom.providers.push.apns_message import apns_headers, apns_payload
from wavecom.providers.push.content import recipient
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_field
from wavecom.providers.tokens.jwt import JwtSigner
from wavecom.providers.tokens.key_files import is_p256_file, p256_key_in
from wavecom.providers.transport import HttpVersion, Request, Response, TransportError

REJECTED, UNAVAILABLE, UNKNOWN = Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN

_KEY = AnswerMeaning.account(
    Reason.CREDENTIALS, "APNs refuses our token: check key_file, key_id, team_id and this clock"
)
_TOPIC = AnswerMeaning.account(Reason.SENDER, "this team may not push to the topic: check topic")
_GONE = AnswerMeaning.recipient(Reason.RECIPIENT_GONE)
_OURS = AnswerMeaning(UNAVAILABLE, Scope.PROVIDER, "APNs doesn't take what WaveCom sends: check base_url")

#: https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
ANSWERS = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: REJECTED,
        401: _KEY,
        403: _KEY,
        410: _GONE,
        413: REJECTED,
        422: REJECTED,
        429: UNAVAILABLE,
        "3xx": _OURS,
        "4xx": _OURS,
        500: UNAVAILABLE,
        503: UNAVAILABLE,
        "5xx": UNKNOWN,
    },
    {
        # Of one token, or of all where base_url is the other environment's: nobody is suppressed for it.
        "BadDeviceToken": AnswerMeaning(
            REJECTED, Scope.RECIPIENT, "many bad tokens are those of the other environment: check base_url"
        ),
        "Unregistered": _GONE,
        "ExpiredToken": _GONE,
        # Of one token, or of all where topic is another app's: nobody is suppressed for it.
        "DeviceTokenNotForTopic": AnswerMeaning(REJECTED, Scope.RECIPIENT, "tokens of another app: check topic"),
        "BadTopic": _TOPIC,
        "MissingTopic": _TOPIC,
        "TopicDisallowed": _TOPIC,
        "BadCertificate": _KEY,
        "BadCertificateEnvironment": _KEY,
        "BadEnvironmentKeyIdInToken": _KEY,
        "ExpiredProviderToken": _KEY,
        "Forbidden": _KEY,
        "InvalidProviderToken": _KEY,
        "MissingProviderToken": _KEY,
        "UnrelatedKeyIdInToken": _KEY,
        "PayloadTooLarge": REJECTED,
        # Many calls for one device; the others go on.
        "TooManyRequests": AnswerMeaning(UNAVAILABLE, Scope.RECIPIENT),
        "TooManyProviderTokenUpdates": AnswerMeaning(
            UNAVAILABLE, Scope.PROVIDER, "others use this key with tokens of their own: give WaveCom one for itself"
        ),
        "InternalServerError": UNAVAILABLE,
        "ServiceUnavailable": UNAVAILABLE,
        "Shutdown": UNAVAILABLE,
    },
)

#: A token is renewed after this, at the same moment in every process: APNs takes none that is older than an hour, and
#: complains of more than one in twenty minutes.
TOKEN_SECONDS = 1800
#: Behind the clock, so that no token is of APNs's future.
_SKEW_SECONDS = 60

_ID = matching(r"[A-Z0-9]{10}", "must be the 10 capital letters and digits that Apple shows")
_TOPIC_NAME = matching(r"[A-Za-z0-9.-]{1,155}", 'must be the app\'s bundle id, such as "com.example.app"')


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApnsOptions(ApiOptions):
    """The type's own keys. ``base_url`` is ``https://api.sandbox.push.apple.com`` for apps that were not installed from
    the App Store.
    """

    key_file: Annotated[str, text(check=is_p256_file)]
    key_id: Annotated[str, _ID]
    team_id: Annotated[str, _ID]
    topic: Annotated[str, _TOPIC_NAME]


class ApnsProvider(ApiProvider[ApnsOptions]):
    """APNs drops no repetition; one takes the place of the first on the screen, by its collapse id."""

    options_class: ClassVar[type[ApnsOptions]] = ApnsOptions
    channels = frozenset({Channel.PUSH})
    http_version = HttpVersion.HTTP_2
    answers = ANSWERS
    own_base_url = "https://api.push.apple.com"

    def __init__(self, config: ProviderConfig[ApnsOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self._signer = JwtSigner(p256_key_in(self.options.key_file), key_id=self.options.key_id)
        #: When the token was issued, and the token.
        self._token = (0, "")

    def request(self, message: Message) -> Request:
        """The message in APNs's words, with the token of the half hour."""
        device = recipient(message, "apns", "token")
        body = apns_payload(message.payload)
        headers = apns_headers(message, self.options.topic, self.dependencies.clock.now())
        return self._request_to(device, body, headers)

    def answer_code(self, response: Response) -> str | None:
        """``reason``, which says more than the status."""
        return json_field(response, "reason")

    def message_id(self, response: Response) -> str | None:
        """The id that we gave it, as APNs repeats it."""
        return response.headers.get("apns-id")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """A message to a device that does not exist: what APNs says of the token comes before what it says of that.

        Raises ``AccountCallError`` where there is no answer.
        """
        headers = {"apns-topic": self.options.topic, "apns-push-type": "background", "apns-priority": "5"}
        request = self._request_to("0" * 64, b'{"aps":{"content-available":1}}', headers)
        try:
            response = self.dependencies.transport.send(request)
        except TransportError as error:
            raise AccountCallError(str(error)) from None
        reason = json_field(response, "reason") or ""
        meaning = ANSWERS.meaning(response.status, reason)
        if meaning.reason is Reason.SENDER:
            return [
                AccountFinding(AccountAspect.CREDENTIALS, True, "APNs takes the token"),
                AccountFinding(AccountAspect.SENDER, False, meaning.check),
            ]
        if reason in {"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered"}:
            return [AccountFinding(AccountAspect.CREDENTIALS, True, "APNs takes the token")]
        return [finding_of(meaning, f"APNs answered {response.status}")]

    def _request_to(self, device: str, body: bytes, headers: Mapping[str, str]) -> Request:
        named = {"Content-Type": "application/json", "authorization": f"bearer {self._current_token()}", **headers}
        return replace(self.request_to(f"/3/device/{device}", body, named), http_version=HttpVersion.HTTP_2)

    def _current_token(self) -> str:
        """Signed without randomness, so two threads that sign at once, or two processes, sign the same token."""
        now = int(self.dependencies.clock.now().timestamp()) - _SKEW_SECONDS
        issued_at = now - now % TOKEN_SECONDS
        at, token = self._token
        if at != issued_at:
            token = self._signer.token({"iss": self.options.team_id, "iat": issued_at})
            self._token = (issued_at, token)
        return token
