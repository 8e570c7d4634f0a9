"""``type = "apprise"``: any service of the Apprise library, as the last resort. https://appriseit.com/

Apprise says whether all went well and keeps every answer to itself. So a call that did not go well has an unknown
outcome, unless the library never called the service.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from urllib.parse import quote

from wavecom.core.exhaustion import unclear
from wavecom.core.job import PARTIAL, Outcome, ProviderResult, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.core.routes import SENDER_FIELDS
from wavecom.providers.base import BaseProvider, ProviderDependencies, UnsendableError, before_the_call
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import Mistake, secrets

if TYPE_CHECKING:
    from apprise import AppriseAsset, NotifyBase

RECIPIENT: Final = "{recipient}"
DELIVERY_KEY: Final = "{delivery_key}"

#: Where a message says to whom it goes, by channel, and an address of which each URL must be able to make something.
_RECIPIENT_FIELDS: Final = {Channel.EMAIL: "email", Channel.SMS: "phone", Channel.PUSH: "token"}
_EXAMPLES: Final = {Channel.EMAIL: "ada@example.org", Channel.SMS: "+12025550143", Channel.PUSH: "0a" * 15}
#: All of a payload that Apprise has a place for.
_CONTENT_FIELDS: Final = {
    Channel.EMAIL: {"subject", "text", "html"},
    Channel.SMS: {"text"},
    Channel.PUSH: {"title", "body"},
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AppriseOptions:
    """The type's own keys."""

    #: Addresses in Apprise's form, one or a list; a message goes to all of them. They hold secrets.
    urls: Annotated[tuple[str, ...], secrets()]


@dataclass(frozen=True, slots=True)
class _Content:
    """What Apprise is given of a message."""

    title: str
    body: str
    #: How ``body`` is written: ``text`` or ``html``.
    body_format: str


class AppriseProvider(BaseProvider[AppriseOptions]):
    """Each call has a thread of its own, which is left alone when the call's time is up: nothing can end it."""

    options_class: ClassVar[type[AppriseOptions]] = AppriseOptions
    default_max_concurrency = 32

    def __init__(self, config: ProviderConfig[AppriseOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self._asset = _asset()
        #: As many again as may be called at once: for those that have not ended though their time is up.
        self._free_threads = threading.BoundedSemaphore(2 * (config.max_concurrency or self.default_max_concurrency))

    @classmethod
    def mistakes_in(cls, config: ProviderConfig[AppriseOptions]) -> Iterable[Mistake]:
        """See ``BaseProvider.mistakes_in``. No message repeats a URL."""
        try:
            asset = _asset()
        except ImportError:
            sentence = "needs the library apprise: install WaveCom with its extra, as in pip install 'wavecom[apprise]'"
            return [Mistake(("type",), sentence, "missing_extra")]
        return [
            Mistake(("urls", place), sentence)
            for place, url in enumerate(config.options.urls)
            for sentence in _mistakes_in_url(url, sorted(config.channels), asset)
        ]

    def send(self, message: Message) -> ProviderResult:
        """See ``core.ports.Provider.send``."""
        try:
            with before_the_call():
                content = _content_of(message)
                services = [_service(url, message, self._asset) for url in self.options.urls]
        except UnsendableError as error:
            return ProviderResult(
                Outcome.UNAVAILABLE, "unsendable", str(error), scope=Scope.MESSAGE, is_final_here=True
            )
        if not self._free_threads.acquire(blocking=False):
            sentence = "too many calls have not ended though their time is up"
            return ProviderResult(Outcome.UNAVAILABLE, "not_begun", sentence, scope=Scope.WORKER)
        ends_at = time.monotonic() + self.config.timeout_seconds
        results: SimpleQueue[ProviderResult] = SimpleQueue()

        def call() -> None:
            try:
                results.put(_result_of_calls(services, content, ends_at))
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody can tell what was sent before
                results.put(unclear(error))
            finally:
                self._free_threads.release()

        try:
            threading.Thread(target=call, name=f"apprise-{self.name}", daemon=True).start()
        except RuntimeError:  # there are no more threads to be had: nothing has begun
            self._free_threads.release()
            raise
        try:
            return results.get(timeout=self.config.timeout_seconds)
        except Empty:
            return ProviderResult(Outcome.UNKNOWN, "timeout", "Apprise had not ended when its time was up")


def _asset() -> AppriseAsset:
    """Apprise's settings. Raises ``ImportError`` where the library is not installed."""
    library: Any = importlib.import_module("apprise")
    # Its lines have URLs and messages in them: none is so important that it is written.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    # No redirects: they would take the message to a host that nobody named. No time-out of the library's: with it all
    # calls would wait for one pool of a few threads.
    asset: AppriseAsset = library.AppriseAsset(
        app_id="WaveCom", http_redirects=False, storage_mode="memory", service_timeout=0, async_mode=False
    )
    return asset


def _mistakes_in_url(url: str, channels: Sequence[Channel], asset: AppriseAsset) -> Iterator[str]:
    for channel in channels:
        service = _instance(url, channel, _EXAMPLES[channel], "key", asset)
        if service is None:
            yield (
                f"is no address that Apprise can send {channel} to: see its documentation of the service, "
                "and name in channels only what it is for"
            )
        elif service.retry:
            yield "must not have retry: what Apprise sends again may have arrived before"
        elif service.optional:
            yield "must not have optional: a message that was not sent would count as sent"
        elif RECIPIENT in _authority(url) and "host" in service.template_tokens:
            yield f"must not have {RECIPIENT} in the place of the host: recipients would choose the server"
        else:
            continue
        return


def _authority(url: str) -> str:
    """User, password and host of a URL."""
    found = re.match(r"[^:/?#]*://([^/?#]*)", url)
    return found[1] if found else url


def _instance(url: str, channel: Channel, recipient: str, delivery_key: str, asset: AppriseAsset) -> NotifyBase | None:
    """The service of a URL; None where Apprise can't make anything of it, or would send it to nobody or to somebody
    else than the recipient whom the URL names. Calls nobody.
    """
    library: Any = importlib.import_module("apprise")
    filled = url.replace(RECIPIENT, quote(recipient, safe="")).replace(DELIVERY_KEY, quote(delivery_key, safe=""))
    service: NotifyBase | None = library.Apprise.instantiate(filled, asset=asset)
    if service is None or not len(service):
        return None
    return service if RECIPIENT not in url or _is_for(service, channel, recipient) else None


def _is_for(service: NotifyBase, channel: Channel, recipient: str) -> bool:
    """Whether the recipient is the only target, where a service has targets at all.

    Apprise leaves out what it takes for no address, upon which many services send to the sender or to everybody, and
    reads a mail address with an apostrophe as a name and a shorter address.
    """
    if not hasattr(service, "targets"):
        return True
    targets: Any = service.targets or ()
    if isinstance(targets, Mapping):  # kind -> targets of that kind
        targets = [target for each in targets.values() for target in each]
    if len(targets) != 1:
        return False
    [target] = targets
    # An address, or one with something beside it: a name, a topic, what kind it is.
    parts = target if isinstance(target, tuple) else (target,)
    return any(_comparable(str(part), channel) == _comparable(recipient, channel) for part in parts)


def _comparable(address: str, channel: Channel) -> str:
    """What stays the same of an address of this channel, however a service writes it."""
    match channel:
        case Channel.EMAIL:
            return address.lower()
        case Channel.SMS:
            return re.sub(r"\D", "", address)
        case _:
            return address


def _service(url: str, message: Message, asset: AppriseAsset) -> NotifyBase:
    """Where a message goes by one URL. Raises ``UnsendableError``."""
    field = _RECIPIENT_FIELDS[message.type]
    recipient = message.to.get(field)
    if RECIPIENT in url and not recipient:
        raise UnsendableError(f"to.{field}: is missing, without which this provider can't send")
    service = _instance(url, message.type, str(recipient or ""), message.delivery_key, asset)
    if service is None:
        raise UnsendableError(f"to.{field}: is no recipient for this service of Apprise")
    return service


def _content_of(message: Message) -> _Content:
    """Raises ``UnsendableError`` for a message with anything in it that would be lost."""
    payload: Mapping[str, Any] = message.payload
    # A service has its sender in its URL; the one of the message's route is for other providers.
    ignored = {SENDER_FIELDS.get(message.type)} if message.has_route_sender else set()
    lost = sorted(name for name in payload.keys() - _CONTENT_FIELDS[message.type] - ignored if payload[name])
    if lost:
        raise UnsendableError(f"payload.{lost[0]}: this provider has no place for it")
    title = str(payload.get("subject") or payload.get("title") or "")
    text = payload.get("text") or payload.get("body")
    content = _Content(title, str(text), "text") if text else _Content(title, str(payload.get("html") or ""), "html")
    if not (content.title or content.body):
        raise UnsendableError("payload: this provider can't send a message that shows nothing")
    return content


def _result_of_calls(services: Sequence[NotifyBase], content: _Content, ends_at: float) -> ProviderResult:
    """Call one service after the other, none after ``ends_at`` (monotonic), whatever became of those before."""
    accepted = called = 0
    for service in services:
        if time.monotonic() >= ends_at:
            break
        library: Any = importlib.import_module("apprise")
        sender = library.Apprise(asset=service.asset)
        sender.add(service)
        answer = sender.notify(body=content.body, title=content.title, body_format=content.body_format)
        accepted += bool(answer)
        called += bool(answer.results)
    if accepted == len(services):
        return ProviderResult(Outcome.ACCEPTED, "apprise_ok")
    if not called:
        return ProviderResult(Outcome.UNAVAILABLE, "apprise_not_called", "Apprise called no service")
    if accepted:
        sentence = f"{accepted} of {len(services)} addresses took it; Apprise does not tell why the others did not"
        return ProviderResult(Outcome.UNKNOWN, f"apprise{PARTIAL}", sentence, scope=Scope.MESSAGE)
    return ProviderResult(Outcome.UNKNOWN, "apprise_failed", "Apprise does not tell why, nor what was sent before")
