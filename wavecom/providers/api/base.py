"""A provider with an API at one address: the keys that all such have, how they are called, and asked of the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from wavecom.core.job import Reason
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAnswer, AccountAspect, AccountClient, AccountFinding
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.base_http import BaseHttpProvider, form_body, json_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import base_url, pem_file
from wavecom.providers.responses import AnswerMeaning
from wavecom.providers.transport import Request

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApiOptions:
    """The keys of every such type: for tests, regional hosts and proxies."""

    #: None: the provider's own.
    base_url: Annotated[str | None, base_url()] = None
    ca_file: Annotated[str | None, pem_file()] = None


ApiOptionsT = TypeVar("ApiOptionsT", bound=ApiOptions)
SenderT = TypeVar("SenderT", str, str | None)


class ApiProvider(BaseHttpProvider[ApiOptionsT]):
    """A subclass says where the API is (``own_base_url``, or ``default_base_url`` where options decide), and what shows
    who is calling (``authorization``).
    """

    own_base_url: ClassVar[str] = ""

    def __init__(self, config: ProviderConfig[ApiOptionsT], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        #: Without a slash at its end.
        self.base_url = self.options.base_url or self.default_base_url()
        self._authorization = self.authorization()
        self._json_headers = {"Content-Type": "application/json", **self._authorization}
        self._form_headers = {"Content-Type": FORM, **self._authorization}

    def default_base_url(self) -> str:
        """Where the API is unless ``base_url`` says so; ``options`` are set."""
        return self.own_base_url

    def authorization(self) -> dict[str, str]:
        """The headers that show who is calling, of every request; ``options`` are set."""
        return {}

    def signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Mapping[str, str]:
        """The headers that a request goes out with, for APIs that have each one signed; else ``headers``."""
        return headers

    def json_request(self, path: str, content: object, headers: Mapping[str, str] | None = None) -> Request:
        """A POST of JSON. Raises ``UnsendableError``."""
        named = self._json_headers if headers is None else {**self._json_headers, **headers}
        return self.request_to(path, json_body(content), named)

    def form_request(self, path: str, fields: Mapping[str, object]) -> Request:
        """A POST of a form, without the fields that are None. Raises ``UnsendableError``."""
        return self.request_to(path, form_body(fields), self._form_headers)

    def request_to(self, path: str, body: bytes, headers: Mapping[str, str]) -> Request:
        """A POST of ``body`` with these headers, and what signs it."""
        url = f"{self.base_url}{path}"
        named = self.signed("POST", url, headers, body)
        return Request(url, body, named, self.config.timeout_seconds, self.options.ca_file)

    def ask(self, client: AccountClient, path: str, *, auth: tuple[str, str] | None = None) -> AccountAnswer:
        """GET what the API says about the account; ``auth``: see ``AccountClient``. Raises ``AccountCallError``."""
        url = f"{self.base_url}{path}"
        headers = self.signed("GET", url, self._authorization)
        return client.call("GET", url, headers=headers, auth=auth, ca_file=self.options.ca_file)


def finding_of(meaning: AnswerMeaning, answered: str) -> AccountFinding:
    """Whether the provider knows us, as its own table has the answer; None where that says nothing of it."""
    is_good = False if meaning.reason is Reason.CREDENTIALS else None
    return AccountFinding(AccountAspect.CREDENTIALS, is_good, meaning.check or answered)


def without_empty(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something: neither None nor empty."""
    return {name: value for name, value in content.items() if value}


def sender_of(message: Message, default: SenderT) -> str | SenderT:
    """The sender that a text message names itself, as its route or its client chose; else ``default``."""
    chosen = message.payload.get("senderId")
    return str(chosen) if chosen else default


def number(text: str) -> str:
    """A phone number in E.164 without its +, as many APIs have it; a name as it is."""
    return text.removeprefix("+")
