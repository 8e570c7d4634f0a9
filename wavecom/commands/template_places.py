"""Where ``wavecom templates`` finds an account's templates: in the store, or behind the API with a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import requests

from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.sources import source_json
from wavecom.errors import ForbiddenError, InvalidRequestError, Problem, TemplateNotFoundError, UnavailableError
from wavecom.web.api.payload_checks import payload_check
from wavecom.web.api.schemas.notification import NotificationSchema

_TIMEOUT_SECONDS = 30
#: Templates that are listed at once.
PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class KeptTemplate:
    """A template as lists show it: its newest version. ``current`` is the version that is sent; ``kind`` and ``state``
    None: a later release saved it, and this one can't read it."""

    name: str
    version: int
    kind: str | None
    state: str | None
    locales: Sequence[str]
    current: int | None


class TemplatePlace(Protocol):
    """An account's templates. All methods raise ``UnavailableError``, also where one may not do this."""

    def all(self) -> list[KeptTemplate]:
        """Every template, by name."""
        ...

    def source(self, template: KeptTemplate) -> dict[str, Any]:
        """What its newest version says."""
        ...

    def save(self, name: str, source: dict[str, Any], note: str) -> int:
        """Save a version; its number. Raises ``InvalidRequestError``."""
        ...

    def publish(self, name: str, version: int) -> None:
        """Have it sent. Raises ``InvalidRequestError``."""
        ...


class StoredTemplates:
    """``TemplatePlace`` for who runs WaveCom. ``actor`` is who is noted."""

    def __init__(self, administration: TemplateAdministration, client: str, actor: str) -> None:
        self._administration = administration
        self._client = client
        self._actor = actor
        self._check = payload_check(NotificationSchema(lambda: datetime.now(UTC)))

    def all(self) -> list[KeptTemplate]:
        """See ``TemplatePlace``."""
        found: list[KeptTemplate] = []
        after = None
        while True:
            page = self._administration.templates(self._client, PAGE_SIZE, after)
            for each in page.items:
                new = each.newest
                found.append(KeptTemplate(new.name, new.version, new.kind, new.state, new.locales, each.current))
            if page.next is None:
                return found
            after = page.next

    def source(self, template: KeptTemplate) -> dict[str, Any]:
        """See ``TemplatePlace``."""
        try:
            version = self._administration.get(self._client, template.name, template.version)
        except TemplateNotFoundError as error:
            raise UnavailableError(str(error)) from error
        return source_json(version.source)

    def save(self, name: str, source: dict[str, Any], note: str) -> int:
        """See ``TemplatePlace``."""
        return self._administration.save(self._actor, self._client, name, source, check=self._check, note=note).version

    def publish(self, name: str, version: int) -> None:
        """See ``TemplatePlace``."""
        try:
            self._administration.publish(self._actor, self._client, name, version, check=self._check)
        except ForbiddenError as error:
            raise UnavailableError(str(error)) from error


class RemoteTemplates:
    """``TemplatePlace`` for who has a key with the scopes read and manage, at the API's ``url``."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}

    def all(self) -> list[KeptTemplate]:
        """See ``TemplatePlace``."""
        found: list[KeptTemplate] = []
        query: str | None = f"?limit={PAGE_SIZE}"
        while query is not None:
            page = self._ask("GET", query)
            for each in page["items"]:
                names = ("name", "newest", "kind", "state", "locales", "current")
                found.append(KeptTemplate(*(each.get(name) for name in names)))
            # A release before pages has no ``next``, and all is on the first. Its path may be a proxy's: ours is known.
            link = page.get("next")
            query = None if link is None else "?" + link.partition("?")[2]
        return found

    def source(self, template: KeptTemplate) -> dict[str, Any]:
        """See ``TemplatePlace``."""
        version = self._ask("GET", f"/{template.name}/versions/{template.version}")
        return {name: version[name] for name in ("kind", "defaultLocale", "variables", "contents")}

    def save(self, name: str, source: dict[str, Any], note: str) -> int:
        """See ``TemplatePlace``."""
        body = source | ({"note": note} if note else {})
        return int(self._ask("POST", f"/{name}/versions", body)["version"])

    def publish(self, name: str, version: int) -> None:
        """See ``TemplatePlace``."""
        self._ask("POST", f"/{name}/versions/{version}/publish")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = requests.request(
                method, f"{self._url}/api/templates{path}", json=body, headers=self._headers, timeout=_TIMEOUT_SECONDS
            )
            told = answer.json()
        except requests.RequestException as error:
            raise UnavailableError(f"{self._url} does not answer ({type(error).__name__})") from error
        if answer.status_code == 422:
            raise InvalidRequestError(
                [Problem(each.get("pointer", ""), each["message"], each["code"]) for each in told["errors"]]
            )
        if not answer.ok:
            raise UnavailableError(f"{self._url} answers {answer.status_code}: {told.get('detail', told)}")
        return told
