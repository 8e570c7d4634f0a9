"""Making a payload of a template: which version and locale, compiled once, with the values of a request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from wavecom.core.job import TemplateUse
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.templates import locales
from wavecom.core.templates.compiled import CompiledContent, RenderingError
from wavecom.core.templates.formatting import known_parent
from wavecom.core.templates.model import (
    TemplateKind,
    TemplateStore,
    TemplateVersion,
    UnreadableVersionError,
    VersionState,
)
from wavecom.core.templates.variables import values_of
from wavecom.errors import InvalidRequestError, Problem

#: Versions that a process keeps compiled, and the characters of their sources: compiled, one takes up to 40 bytes.
CACHE_SIZE: Final = 500
CACHE_CHARACTERS: Final = 5_000_000
#: For so long a process goes on with the version that was current when it last looked.
CURRENT_FOR: Final = timedelta(seconds=2)

#: CLDR puts no-break spaces into figures and dates. GSM-7 has none: one of them more than halves what a segment holds.
_PLAIN_SPACES: Final = {0xA0: " ", 0x202F: " "}

#: What ``render_now`` makes at most, of ``CompiledContent.cost``: a millisecond or two, in which others wait.
_LIGHT_COST: Final = 200


class NotCompiledError(Exception):
    """Something has to be read or compiled first, or it would take long."""


@dataclass(frozen=True, slots=True)
class TemplateRequest:
    """What a notification says in place of a payload. ``version`` None: the current one; ``locale`` None: the
    template's default."""

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A payload, and by what it was made. ``locale`` of ``use`` is that of the words."""

    payload: dict[str, Any]
    use: TemplateUse


class TemplateRenderer:
    """Renders published versions. Thread-safe; keeps what it compiled."""

    def __init__(
        self,
        store: TemplateStore,
        clock: Clock,
        kept_versions: int = CACHE_SIZE,
        kept_characters: int = CACHE_CHARACTERS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept_versions = kept_versions
        self._versions = _CompiledVersions(kept_versions, kept_characters)
        self._current: dict[tuple[str, str], tuple[int, datetime]] = {}

    def render(self, client: str, channel: Channel, wanted: TemplateRequest) -> Rendered:
        """The payload. Raises ``InvalidRequestError``, which names the fields of the request, and ``StoreError``."""
        number = wanted.version if wanted.version is not None else self._current_version(client, wanted.name)
        if number is None:
            raise _refused("/template", f"{wanted.name!r} has no published version in this account", "unknown_value")
        return self._version(client, wanted.name, number).render(channel, wanted)

    def render_now(self, client: str, channel: Channel, wanted: TemplateRequest) -> Rendered:
        """``render`` where nothing has to be waited for. Raises ``InvalidRequestError``, else ``NotCompiledError``."""
        number = wanted.version
        if number is None:
            known = self._current.get((client, wanted.name))
            if known is None or self._clock.now() - known[1] >= CURRENT_FOR:
                raise NotCompiledError
            number = known[0]
        version = self._versions.known((client, wanted.name, number, True))
        if version is None:
            raise NotCompiledError
        return version.render(channel, wanted, only_light=True)

    def compiled(self, version: TemplateVersion) -> CompiledVersion:
        """A version, a draft too, with what was compiled of it before: to look at, not to send."""
        key = version.client, version.name, version.version, version.state is VersionState.PUBLISHED
        return self._versions.known(key) or self._versions.keep(key, CompiledVersion(version))

    def forget(self, client: str, name: str) -> None:
        """Look anew which version is current: one has just been published."""
        self._current.pop((client, name), None)

    def _current_version(self, client: str, name: str) -> int | None:
        now = self._clock.now()
        known = self._current.get((client, name))
        if known is not None and now - known[1] < CURRENT_FOR:
            return known[0]
        number = self._store.current(client, name)
        if number is None:
            self.forget(client, name)
            return None
        if len(self._current) >= 2 * self._kept_versions:
            self._current.clear()
        self._current[client, name] = number, now
        return number

    def _version(self, client: str, name: str, number: int) -> CompiledVersion:
        key = client, name, number, True
        known = self._versions.known(key)
        if known is not None:
            return known
        try:
            found = self._store.get(client, name, number)
        except UnreadableVersionError as error:
            raise _refused("/template", str(error), "invalid") from error
        if found is None or found.state is not VersionState.PUBLISHED:
            where = "/version" if self._store.current(client, name) is not None else "/template"
            raise _refused(
                where, f"must be a published version; {number} of {name!r} is none in this account", "unknown_value"
            )
        return self._versions.keep(key, CompiledVersion(found))


#: Client, name, number, whether it is published: publishing a draft puts its layout and partials in place anew.
_VersionKey = tuple[str, str, int, bool]


class _CompiledVersions:
    """Those that were used last, as far as their number and their sources' characters allow. Thread-safe."""

    def __init__(self, kept_versions: int, kept_characters: int) -> None:
        self._kept_versions = kept_versions
        self._kept_characters = kept_characters
        #: Characters that ``_versions`` have.
        self._length = 0
        self._lock = threading.Lock()
        self._versions: OrderedDict[_VersionKey, CompiledVersion] = OrderedDict()

    def known(self, key: _VersionKey) -> CompiledVersion | None:
        """The version, if it is kept."""
        with self._lock:
            known = self._versions.get(key)
            if known is not None:
                self._versions.move_to_end(key)
        return known

    def keep(self, key: _VersionKey, made: CompiledVersion) -> CompiledVersion:
        """Keep ``made``, which is answered, in place of those that were not used for longest."""
        with self._lock:
            self._length += made.length - (self._versions[key].length if key in self._versions else 0)
            self._versions[key] = made
            while len(self._versions) > self._kept_versions or (
                self._length > self._kept_characters and len(self._versions) > 1
            ):
                self._length -= self._versions.popitem(last=False)[1].length
        return made


class CompiledVersion:
    """One version, each of its contents compiled when it is first asked for. Thread-safe: what two threads compile at
    once is the same."""

    def __init__(self, version: TemplateVersion) -> None:
        self.version = version
        self._contents: dict[tuple[Channel, str], CompiledContent] = {}
        #: Characters of its sources, which its memory is in proportion to.
        self.length = sum(len(str(content)) for channels in version.prepared.values() for content in channels.values())

    def render(self, channel: Channel, wanted: TemplateRequest, *, only_light: bool = False) -> Rendered:
        """The payload; the words in the nearest locale that there is, numbers and dates as in the one asked for.

        Raises ``InvalidRequestError``; ``NotCompiledError`` where ``only_light`` and it is not compiled, or dear.
        """
        version = self.version
        if version.source.kind is not TemplateKind.MESSAGE:
            raise _refused("/template", f"must be a message; {version.name!r} is a {version.source.kind}", "invalid")
        asked = version.source.default_locale
        if wanted.locale is not None:
            tag = locales.canonical(wanted.locale)
            if tag is None:
                raise _refused("/locale", f"must be {locales.LOCALE_RULE}", "invalid")
            asked = tag
        values, problems = values_of(version.source.variables, wanted.variables)
        if problems:
            raise InvalidRequestError(problems)
        locale, content = self._content(channel, asked, only_light=only_light)
        is_same = locales.language_of(locale) == locales.language_of(asked)
        try:
            payload = content.render(values, known_parent(asked if is_same else locale))
        except RenderingError as error:
            raise _refused("/variables", str(error), "invalid") from error
        if channel is Channel.SMS and isinstance(payload.get("text"), str):
            payload["text"] = payload["text"].translate(_PLAIN_SPACES)
        return Rendered(payload, TemplateUse(version.name, version.version, locale))

    def _content(self, channel: Channel, asked: str, *, only_light: bool) -> tuple[str, CompiledContent]:
        version = self.version
        there_are = [locale for locale, channels in version.prepared.items() if channel.value in channels]
        locale = locales.nearest(asked, there_are, version.source.default_locale)
        if locale is None:
            known = sorted({name for channels in version.prepared.values() for name in channels})
            text = f"must have a content for {channel}; version {version.version} has {', '.join(known)}"
            raise _refused("/template", text, "invalid")
        content = self._contents.get((channel, locale))
        if only_light and (content is None or content.cost > _LIGHT_COST):
            raise NotCompiledError
        if content is None:
            source = version.prepared[locale][channel.value]
            content = self._contents[channel, locale] = CompiledContent(source, version.source.variables)
        return locale, content


def _refused(where: str, message: str, code: str) -> InvalidRequestError:
    return InvalidRequestError([Problem(where, message, code)])
