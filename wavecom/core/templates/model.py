"""What is kept of a template: its versions, each a source that its author wrote and what was made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from wavecom.core.templates.variables import Variable
from wavecom.errors import TemplateNotFoundError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
NAME_PATTERN: Final = "^[a-z0-9][a-z0-9-]{0,63}$"
NAME_RULE: Final = "1 to 64 small letters, digits and hyphens, the first no hyphen"

#: Locale → channel → payload whose texts are sources; of layouts and partials: locale → ``html`` and ``text``.
Contents = Mapping[str, Mapping[str, Any]]


def is_template_name(name: str) -> bool:
    """Whether a template may be called so (``NAME_RULE``)."""
    return _NAME.fullmatch(name) is not None


class TemplateKind(StrEnum):
    """What a template is there for."""

    #: To be sent.
    MESSAGE = "message"
    #: What stands around mails, which name it as their ``layout``.
    LAYOUT = "layout"
    #: A part of others, which include it.
    PARTIAL = "partial"


class VersionState(StrEnum):
    """How far a version has come. A published one never changes, and can be published again: then it is current."""

    DRAFT = "draft"
    REVIEW = "review"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """What an author writes."""

    kind: TemplateKind
    default_locale: str
    variables: Mapping[str, Variable]
    contents: Contents

    @property
    def types(self) -> tuple[str, ...]:
        """The channels that a message has contents for."""
        if self.kind is not TemplateKind.MESSAGE:
            return ()
        return tuple(sorted({name for channels in self.contents.values() for name in channels}))

    @property
    def locales(self) -> tuple[str, ...]:
        """The languages that it has contents in."""
        return tuple(sorted(self.contents))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVersion:
    """One version of one template of an account. ``prepared`` are the contents with partials, layout, CSS and a plain
    text in place: what is rendered. Times are aware UTC; who did it is named as in the audit."""

    client: str
    name: str
    version: int
    state: VersionState
    source: TemplateSource
    prepared: Contents = field(repr=False)
    note: str = ""
    created_at: datetime
    created_by: str
    review_asked_at: datetime | None = None
    review_asked_by: str | None = None
    published_at: datetime | None = None
    published_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version as lists show it, without what it says. ``kind`` and ``state`` None: a later release saved it, and this
    one can't read it; ``types`` are the channels of a message."""

    client: str
    name: str
    version: int
    kind: TemplateKind | None
    state: VersionState | None
    types: tuple[str, ...]
    locales: tuple[str, ...]
    note: str
    created_at: datetime
    created_by: str
    review_asked_at: datetime | None = None
    review_asked_by: str | None = None
    published_at: datetime | None = None
    published_by: str | None = None

    @classmethod
    def of(cls, version: TemplateVersion) -> VersionSummary:
        """What a list shows of ``version``."""
        source = version.source
        return cls(
            client=version.client,
            name=version.name,
            version=version.version,
            kind=source.kind,
            state=version.state,
            types=source.types,
            locales=source.locales,
            note=version.note,
            created_at=version.created_at,
            created_by=version.created_by,
            review_asked_at=version.review_asked_at,
            review_asked_by=version.review_asked_by,
            published_at=version.published_at,
            published_by=version.published_by,
        )

    @property
    def is_readable(self) -> bool:
        """Whether this release knows what it is."""
        return self.kind is not None and self.state is not None


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """A template as lists show it: its newest version, and which one is sent."""

    newest: VersionSummary
    current: int | None


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """A part of a list of templates, by client and name; ``next`` is behind which the next one begins."""

    items: Sequence[TemplateSummary]
    next: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class VersionPage:
    """A part of a template's versions, the newest first; ``next`` is below which the next one begins."""

    items: Sequence[VersionSummary]
    next: int | None


class UnreadableVersionError(TemplateNotFoundError):
    """A version was saved by a later release, in a way that this one does not know. The text names it."""

    def __init__(self, name: str, version: int, reason: str) -> None:
        super().__init__(
            f"Version {version} of {name!r} can't be read by this release of WaveCom, a later one saved it: {reason}."
        )


class TemplateStore(Protocol):
    """Where versions are kept. All methods raise ``StoreError``."""

    def add(self, version: TemplateVersion) -> bool:
        """Keep a new version; False: there is one of this number already."""
        ...

    def change_state(self, version: TemplateVersion, expected: VersionState) -> bool:
        """Keep the state, the times and names that belong to it, and ``prepared``; never the source. False: it is no
        more in the state ``expected``."""
        ...

    def get(self, client: str, name: str, version: int) -> TemplateVersion | None:
        """One version. Raises ``UnreadableVersionError``."""
        ...

    def current(self, client: str, name: str) -> int | None:
        """The number of the version that was published last."""
        ...

    def versions(self, client: str, name: str, limit: int, below: int | None = None) -> Sequence[VersionSummary]:
        """Versions of a template, the newest first: those whose number is below ``below``."""
        ...

    def templates(
        self, client: str | None, limit: int, after: tuple[str, str] | None = None
    ) -> Sequence[TemplateSummary]:
        """Templates of an account, or of all, by client and name: those behind the client and name ``after``."""
        ...

    def count(self, client: str, most: int) -> int:
        """How many templates an account has, counted up to ``most``."""
        ...
