"""Templates without a server, by the rules of ``TemplateStore`` and ``TemplateAudit``."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from wavecom.core.templates.audit import TemplateEvent
from wavecom.core.templates.model import (
    TemplateSummary,
    TemplateVersion,
    UnreadableVersionError,
    VersionState,
    VersionSummary,
)


class MemoryTemplateStore:
    """``TemplateStore``. ``reads`` counts what was asked of it; ``unreadable`` are versions of a later release."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str, int], TemplateVersion] = {}
        self.reads = 0
        self.unreadable: set[tuple[str, str, int]] = set()

    def add(self, version: TemplateVersion) -> bool:
        """See the port."""
        key = version.client, version.name, version.version
        with self._lock:
            return self._versions.setdefault(key, version) is version

    def change_state(self, version: TemplateVersion, expected: VersionState) -> bool:
        """See the port."""
        key = version.client, version.name, version.version
        with self._lock:
            known = self._versions.get(key)
            if known is None or known.state is not expected:
                return False
            self._versions[key] = replace(version, source=known.source)
            return True

    def get(self, client: str, name: str, version: int) -> TemplateVersion | None:
        """See the port."""
        self.reads += 1
        if (client, name, version) in self.unreadable:
            raise UnreadableVersionError(name, version, "/kind must be another")
        return self._versions.get((client, name, version))

    def current(self, client: str, name: str) -> int | None:
        """See the port."""
        self.reads += 1
        found = [
            (each.published_at, each.version)
            for each in self.versions(client, name, len(self._versions))
            if each.published_at is not None
        ]
        return max(found)[1] if found else None

    def versions(self, client: str, name: str, limit: int, below: int | None = None) -> Sequence[VersionSummary]:
        """See the port."""
        found = [
            replace(VersionSummary.of(each), **({"kind": None, "types": ()} if key in self.unreadable else {}))
            for key, each in self._versions.items()
            if key[:2] == (client, name)
        ]
        older = [each for each in found if below is None or each.version < below]
        return sorted(older, key=lambda each: -each.version)[:limit]

    def templates(
        self, client: str | None, limit: int, after: tuple[str, str] | None = None
    ) -> Sequence[TemplateSummary]:
        """See the port."""
        keys = sorted({key[:2] for key in self._versions if client in {None, key[0]}})
        behind = [key for key in keys if after is None or key > after][:limit]
        return [TemplateSummary(self.versions(*key, 1)[0], self.current(*key)) for key in behind]

    def count(self, client: str, most: int) -> int:
        """See the port."""
        return min(most, len({name for account, name, _ in self._versions if account == client}))


class MemoryTemplateAudit:
    """``TemplateAudit``."""

    def __init__(self) -> None:
        self.events: list[TemplateEvent] = []

    def record_template_event(self, event: TemplateEvent) -> None:
        """See the port."""
        self.events.append(event)
