"""What is kept of a template: its versions, each a source that its author wrote and what was made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from wavecom.core.templates.variables import Variable

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


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """A template as lists show it: its newest version, and which one is sent."""

    newest: TemplateVersion
    current: int | None


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
        """One version."""
        ...

    def current(self, client: str, name: str) -> int | None:
        """The number of the version that was published last."""
        ...

    def versions(self, client: str, name: str, limit: int) -> Sequence[TemplateVersion]:
        """The versions of a template, the newest first."""
        ...

    def newest(self, client: str | None) -> Sequence[TemplateSummary]:
        """Every template of an account, or of all, by client and name."""
        ...
