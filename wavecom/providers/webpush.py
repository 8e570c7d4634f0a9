"""``type = "webpush"``: push to browsers, at the address that each browser's subscription names.

RFC 8030 (the request), RFC 8291 (its encryption), RFC 8292 (who sends it: VAPID).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, ClassVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.outbound_addresses import OutboundAddress
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAspect, AccountClient, AccountFinding
from wavecom.providers.base import ProviderDependencies, UnpreparedError, UnsendableError
from wavecom.providers.base_http import BaseHttpProvider, json_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import matching, pem_file, text, tuple_of
from wavecom.providers.push.content import LONGEST_TTL_SECONDS, is_silent, recipient, seconds_to_live
from wavecom.providers.push.encryption import LIMIT_BYTES, encrypted
from wavecom.providers.push.endpoints import EndpointGuard
from wavecom.providers.responses import AnswerMeaning, AnswerTable
from wavecom.providers.tokens.jwt import JwtSigner, base64url, from_base64url
from wavecom.providers.tokens.key_files import is_p256_file, p256_key_in
from wavecom.providers.transport import Request, Response, TransportFault

REJECTED, UNAVAILABLE, UNKNOWN = Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN

_GONE = AnswerMeaning.recipient(Reason.RECIPIENT_GONE)

#: RFC 8030 sections 5 and 7.3, RFC 8292 section 4.2; what each service adds is on
#: https://autopush.readthedocs.io/en/latest/http.html and https://web.dev/articles/push-notifications-web-push-protocol
ANSWERS = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: REJECTED,
        # Our token, or one subscription that was made for another key: Mozilla's service says both so, and anybody may
        # subscribe with a key of his own. Whether all are refused, several browsers tell.
        401: AnswerMeaning(
            UNAVAILABLE, check="a push service refuses our token: check the VAPID key and clock, or subscribe anew"
        ),
        # A subscription that was made for another key: this browser must subscribe anew; nobody else need wait.
        403: AnswerMeaning(
            REJECTED, Scope.RECIPIENT, "subscriptions of another VAPID key: check vapid_private_key_file"
        ),
        404: _GONE,
        410: _GONE,
        413: REJECTED,
        422: REJECTED,
        429: UNAVAILABLE,
        # Whoever answers so is asked by one browser's subscription, so the others don't wait.
        "3xx": AnswerMeaning(REJECTED, Scope.RECIPIENT),
        "4xx": AnswerMeaning(UNAVAILABLE, Scope.MESSAGE),
        500: UNAVAILABLE,
        503: UNAVAILABLE,
        "5xx": UNKNOWN,
    }
)

#: Hosts of Chrome and most others, Firefox, Safari, Edge.
PUSH_SERVICES = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)

#: A token is signed anew after so long, and ends twelve to eighteen hours later (RFC 8292 section 2: within a day).
_TOKEN_SECONDS = 6 * 3600
_TOKEN_LIFE_SECONDS = 18 * 3600
#: Origins whose tokens are kept: many more than there are push services.
_MOST_TOKENS = 1_000


_SUBJECT = matching(
    r"mailto:[^\s@]+@[^\s@]+|https://[!-~]+",
    'must be an address at which push services reach you, such as "mailto:ops@example.com"',
)
_HOST = matching(
    r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|[0-9a-f:.]*:[0-9a-f:.]*",
    'must be a host such as "push.example" or "*.push.example", without scheme and port',
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WebpushOptions:
    """The type's own keys. There is no ``base_url``: each subscription has its address."""

    vapid_private_key_file: Annotated[str, text(check=is_p256_file)]
    vapid_subject: Annotated[str, _SUBJECT]
    allowed_hosts: Annotated[tuple[str, ...], tuple_of(_HOST, "must be a list of hosts")] = PUSH_SERVICES
    ca_file: Annotated[str | None, pem_file()] = None


class WebpushProvider(BaseHttpProvider[WebpushOptions]):
    """A service keeps one message a topic, so a repetition takes the place of the first until the browser has it."""

    options_class: ClassVar[type[WebpushOptions]] = WebpushOptions
    channels = frozenset({Channel.PUSH})
    unreachable_scope = Scope.DESTINATION
    answers = ANSWERS

    def __init__(self, config: ProviderConfig[WebpushOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        key = p256_key_in(self.options.vapid_private_key_file)
        self._signer = JwtSigner(key, type="JWT")
        self._public_key = base64url(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        self._guard = EndpointGuard(self.options.allowed_hosts)
        #: Origin and period → the header for it.
        self._authorizations: dict[tuple[str, int], str] = {}

    def may_wait(self, message: Message) -> bool:
        """See ``BaseHttpProvider``: where the host of the subscription must be looked up."""
        try:
            return not self._guard.known_addresses(self._endpoint(message))
        except UnsendableError:
            return False  # ``request`` says so

    def request(self, message: Message) -> Request:
        """The message, encrypted for one browser and signed for its service."""
        endpoint = self._endpoint(message)
        body = self._body(message)
        addresses = self._guard.known_addresses(endpoint)
        seconds = self.config.timeout_seconds
        if not addresses:
            seconds /= 2
            addresses = self._addresses(endpoint, seconds)
        payload: Mapping[str, Any] = message.payload
        ttl = seconds_to_live(message, self.dependencies.clock.now())
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            # RFC 8030 section 5.2 demands it; with 0 only browsers that are open get the message.
            "TTL": str(LONGEST_TTL_SECONDS if ttl is None else ttl),
            "Urgency": "normal" if is_silent(payload) else "high",
            "Topic": topic_of(payload.get("collapseKey", message.delivery_key)),
            "Authorization": self._authorization(endpoint),
        }
        return Request(endpoint.url, body, headers, seconds, self.options.ca_file, addresses=addresses)

    def message_id(self, response: Response) -> str | None:
        """The end of the address that the service gives the message (RFC 8030 section 5)."""
        return response.headers.get("location", "").rstrip("/").rpartition("/")[2][:200] or None

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """Push services know nobody before the first message; what browsers must be given can be shown."""
        text = f"nobody to ask before the first message; applicationServerKey is {self._public_key}"
        return [AccountFinding(AccountAspect.CREDENTIALS, None, text)]

    def _endpoint(self, message: Message) -> OutboundAddress:
        subscription = recipient(message, "webpush", "subscription")
        return self._guard.endpoint(str(subscription["endpoint"]))

    def _addresses(self, endpoint: OutboundAddress, seconds: float) -> tuple[str, ...]:
        try:
            return self._guard.look_up(endpoint, seconds)
        except OSError:
            text = "the host of the subscription could not be found"
            result = ProviderResult(UNAVAILABLE, TransportFault.DNS.value, text, scope=Scope.DESTINATION)
            raise UnpreparedError(result) from None

    def _body(self, message: Message) -> bytes:
        """The payload in our API's own words, as the page's service worker reads it, encrypted."""
        keys = recipient(message, "webpush", "subscription")["keys"]
        shown = {name: each for name, each in message.payload.items() if name not in {"ttlSeconds", "collapseKey"}}
        plaintext = json_body(shown)
        if len(plaintext) > LIMIT_BYTES:
            raise UnsendableError(f"payload: takes {len(plaintext)} bytes; browsers get at most {LIMIT_BYTES}")
        try:
            return encrypted(plaintext, from_base64url(keys["p256dh"]), from_base64url(keys["auth"]))
        except ValueError:
            raise UnsendableError("to.subscription.keys: are no keys of a browser") from None

    def _authorization(self, endpoint: OutboundAddress) -> str:
        now = int(self.dependencies.clock.now().timestamp())
        period = now - now % _TOKEN_SECONDS
        found = self._authorizations.get((endpoint.origin, period))
        if found is None:
            claims = {"aud": endpoint.origin, "exp": period + _TOKEN_LIFE_SECONDS, "sub": self.options.vapid_subject}
            found = f"vapid t={self._signer.token(claims)},k={self._public_key}"
            if len(self._authorizations) >= _MOST_TOKENS:
                self._authorizations.clear()
            self._authorizations[endpoint.origin, period] = found
        return found


def topic_of(key: str) -> str:
    """``key`` as a service wants topics: 32 signs of base64url (RFC 8030 section 5.4)."""
    return base64url(sha256(key.encode()).digest()[:24])
