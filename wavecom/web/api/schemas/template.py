"""The bodies and queries of ``/api/templates``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from wavecom.core.lanes import Channel
from wavecom.core.templates.locales import LOCALE_RULE
from wavecom.core.templates.model import NAME_PATTERN, TemplateKind
from wavecom.web.api.fields import AnyObject, Choice, Integer, Text
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.listing import LIMIT_DEFAULT, LIMIT_MAXIMUM
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema
from wavecom.web.api.schemas.templated import VERSIONS_MAXIMUM

NOTE_LIMIT = 500
_PAGING: Mapping[str, str] = {"after": "cursor", "page": "cursor", "pageSize": "limit", "perPage": "limit"}

PlaceT = TypeVar("PlaceT", str, int)


@dataclass(frozen=True, slots=True)
class PageRequest(Generic[PlaceT]):
    """Which part of a list; ``cursor`` None: its beginning."""

    limit: int
    cursor: PlaceT | None


class TemplateListQuery(QuerySchema):
    """The query of ``GET /api/templates``. ``load`` takes it as name → values; its cursor is a template's name."""

    aliases: ClassVar[Mapping[str, str]] = _PAGING

    limit = IntegerInQuery("a whole number", minimum=1, maximum=LIMIT_MAXIMUM, load_default=LIMIT_DEFAULT)
    cursor = Text("the cursor of a next link, unchanged", max_length=64, pattern=NAME_PATTERN.strip("^$"))

    def load(self, data: Mapping[str, list[str]], **_: Any) -> PageRequest[str]:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        return PageRequest(fields["limit"], fields.get("cursor"))


class VersionListQuery(QuerySchema):
    """The query of a list of versions; its cursor is a version's number."""

    aliases: ClassVar[Mapping[str, str]] = _PAGING

    limit = IntegerInQuery("a whole number", minimum=1, maximum=LIMIT_MAXIMUM, load_default=LIMIT_DEFAULT)
    cursor = IntegerInQuery("the cursor of a next link, unchanged", minimum=1, maximum=VERSIONS_MAXIMUM)

    def load(self, data: Mapping[str, list[str]], **_: Any) -> PageRequest[int]:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        return PageRequest(fields["limit"], fields.get("cursor"))


class TemplateVersionSchema(BaseSchema):
    """What ``POST /api/templates/<name>/versions`` takes; ``core/templates`` checks what is in the objects."""

    component = "TemplateVersionRequest"
    aliases: ClassVar[Mapping[str, str]] = {
        "content": "contents",
        "channels": "contents",
        "params": "variables",
        "locale": "defaultLocale",
        "type": "kind",
        "comment": "note",
    }

    kind = Choice(TemplateKind)
    default_locale = Text(LOCALE_RULE, max_length=20, data_key="defaultLocale")
    variables = AnyObject("an object: the name of each variable, and what it is")
    contents = AnyObject("an object of locales, each with a payload for each type", required=True)
    note = Text(f"a text of at most {NOTE_LIMIT} characters", max_length=NOTE_LIMIT, is_line=False, load_default="")

    @staticmethod
    def source(data: Mapping[str, Any]) -> dict[str, Any]:
        """What ``TemplateAdministration.save`` takes of a checked body."""
        names = {"kind": "kind", "default_locale": "defaultLocale", "variables": "variables", "contents": "contents"}
        return {name: str(data[key]) if key == "kind" else data[key] for key, name in names.items() if key in data}


class PreviewSchema(BaseSchema):
    """What ``POST /api/templates/<name>/preview`` takes."""

    component = "TemplatePreviewRequest"
    aliases: ClassVar[Mapping[str, str]] = {"channel": "type", "values": "variables", "language": "locale"}
    may_be_left_out: ClassVar[bool] = True

    type = Choice(Channel)
    version = Integer("the number of a version, a draft too", minimum=1, maximum=VERSIONS_MAXIMUM)
    locale = Text(LOCALE_RULE, max_length=20)
    variables = AnyObject("an object with a value for each variable; left out: the examples")
