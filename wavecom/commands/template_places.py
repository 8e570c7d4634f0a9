"""Where ``wavecom templates`` finds an account's templates: in the store, or behind the API with a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import requests

from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.sources import source_json
from wavecom.errors import ForbiddenError, InvalidRequestError, Problem, UnavailableError
from wavecom.web.api.payload_checks import payload_check
from wavecom.web.api.schemas.notification import NotificationSchema

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class KeptTemplate:
    """A template's newest version. ``current`` is the version that is sent."""

    name: str
    version: int
    state: str
    current: int | None
    source: dict[str, Any]


class TemplatePlace(Protocol):
    """An account's templates. All methods raise ``UnavailableError``, also where one may not do this."""

    def all(self) -> list[KeptTemplate]:
        """Every template, by name."""
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
        return [
            KeptTemplate(
                each.newest.name, each.newest.version, each.newest.state, each.current, source_json(each.newest.source)
            )
            for each in self._administration.all(self._client)
        ]

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
        found = []
        for each in self._ask("GET", "")["items"]:
            version = self._ask("GET", f"/{each['name']}/versions/{each['newest']}")
            source = {name: version[name] for name in ("kind", "defaultLocale", "variables", "contents")}
            found.append(KeptTemplate(each["name"], each["newest"], version["state"], each["current"], source))
        return found

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
