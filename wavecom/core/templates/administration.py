"""What clients and operators do with templates: save a version, ask for a review, publish, look, preview."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from wavecom.core.ports import Clock
from wavecom.core.templates.audit import TemplateAction, TemplateAudit, TemplateEvent
from wavecom.core.templates.model import (
    NAME_RULE,
    Contents,
    TemplateKind,
    TemplatePage,
    TemplateSource,
    TemplateStore,
    TemplateVersion,
    UnreadableVersionError,
    VersionPage,
    VersionState,
    VersionSummary,
    is_template_name,
)
from wavecom.core.templates.preparation import CheckPayload, example_problems, prepared
from wavecom.core.templates.sources import read_source
from wavecom.errors import ForbiddenError, InvalidRequestError, Problem, TemplateNotFoundError

log = structlog.get_logger()

#: How many templates an account may have, and how many versions a template.
TEMPLATES_DEFAULT: Final = 1_000
VERSIONS_DEFAULT: Final = 1_000
_TRIES: Final = 5


class TemplateAdministration:
    """The use cases behind ``/api/templates``, its pages and ``wavecom templates``.

    ``actor`` is who does it. The audit entry is written before the deed. All methods raise ``StoreError``; those with
    a name ``TemplateNotFoundError``.
    """

    def __init__(
        self,
        *,
        store: TemplateStore,
        audit: TemplateAudit,
        clock: Clock,
        new_id: Callable[[], str],
        on_published: Callable[[str, str], None] = lambda _client, _name: None,
        needs_second_person: bool = False,
        templates_limit: int = TEMPLATES_DEFAULT,
        versions_limit: int = VERSIONS_DEFAULT,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._on_published = on_published
        #: Nobody has a version sent that he has saved himself and that nobody else has ever published.
        self._needs_second_person = needs_second_person
        self._templates_limit = templates_limit
        self._versions_limit = versions_limit

    def save(
        self,
        actor: str,
        client: str,
        name: str,
        data: Mapping[str, Any],
        *,
        check: CheckPayload,
        note: str = "",
    ) -> TemplateVersion:
        """A new version, a draft; the newest one where it says the same already, with the layout and partials of now.

        Raises ``InvalidRequestError`` that names everything that is wrong: in the declarations, in any source, and in
        what the examples give; or that the account has as many templates, or the template as many versions, as it may.
        """
        source = self._checked(name, data)
        contents, problems = prepared(source, self._finder(client))
        problems = problems or example_problems(source, contents, check)
        if problems:
            raise InvalidRequestError(problems)
        for _ in range(_TRIES):
            newest = self._newest(client, name)
            if newest is not None and newest.kind not in {None, source.kind}:
                raise InvalidRequestError([Problem("/kind", f"must stay {newest.kind}", "conflict")])
            same = None if newest is None else self._same(newest, source, contents)
            if same is not None:
                return same
            self._check_limits(client, newest)
            version = TemplateVersion(
                client=client,
                name=name,
                version=1 if newest is None else newest.version + 1,
                state=VersionState.DRAFT,
                source=source,
                prepared=contents,
                note=note,
                created_at=self._clock.now(),
                created_by=actor,
            )
            self._note(TemplateAction.SAVE, actor, version)
            if self._store.add(version):
                return version
        raise InvalidRequestError([Problem("", "is being saved by others at this moment; try again", "conflict")])

    def ask_review(self, actor: str, client: str, name: str, version: int) -> TemplateVersion:
        """Say that a draft is ready to be looked at by somebody else; asking twice is once."""
        known = self.get(client, name, version)
        if known.state is not VersionState.DRAFT:
            return known
        asked = replace(known, state=VersionState.REVIEW, review_asked_at=self._clock.now(), review_asked_by=actor)
        self._note(TemplateAction.ASK_REVIEW, actor, asked)
        self._store.change_state(asked, VersionState.DRAFT)
        return self.get(client, name, version)

    def publish(self, actor: str, client: str, name: str, version: int, *, check: CheckPayload) -> TemplateVersion:
        """Have a version sent from now on. One that was published before stays as it was then, and is current again.

        Raises ``InvalidRequestError`` where a layout or partial has changed so that it does not fit any more, and
        ``ForbiddenError`` for an author where somebody else has to look first.
        """
        known = self.get(client, name, version)
        if not self.may_publish(actor, known):
            raise ForbiddenError(
                f"Version {version} of {name!r} was saved by {known.created_by}, and here somebody else publishes what "
                "an author has saved: ask for a review, and another key or operator publishes it."
            )
        published = replace(known, state=VersionState.PUBLISHED, published_at=self._clock.now(), published_by=actor)
        if known.state is not VersionState.PUBLISHED:
            contents, problems = prepared(known.source, self._finder(client))
            problems = problems or example_problems(known.source, contents, check)
            if problems:
                raise InvalidRequestError(problems)
            published = replace(published, prepared=contents)
        self._note(TemplateAction.PUBLISH, actor, published)
        self._store.change_state(published, known.state)
        self._on_published(client, name)
        return self.get(client, name, version)

    def may_publish(self, actor: str, version: TemplateVersion) -> bool:
        """Whether ``actor`` may have it sent: anybody may go back to what was published before."""
        is_new = version.state is not VersionState.PUBLISHED
        return not (self._needs_second_person and is_new and version.created_by == actor)

    def get(self, client: str, name: str, version: int) -> TemplateVersion:
        """One version."""
        found = self._store.get(client, name, version)
        if found is None:
            raise TemplateNotFoundError(f"There is no version {version} of a template {name!r}.")
        return found

    def newest(self, client: str, name: str) -> VersionSummary:
        """The newest version, maybe a draft."""
        found = self._newest(client, name)
        if found is None:
            raise TemplateNotFoundError(f"There is no template {name!r}.")
        return found

    def versions(self, client: str, name: str, limit: int, below: int | None = None) -> VersionPage:
        """At most ``limit`` versions of a template, the newest first: of those whose number is below ``below``."""
        found = self._store.versions(client, name, limit + 1, below)
        if not found and below is None:
            raise TemplateNotFoundError(f"There is no template {name!r}.")
        return VersionPage(found[:limit], found[limit - 1].version if len(found) > limit else None)

    def current(self, client: str, name: str) -> int | None:
        """The number of the version that is sent; None: none has been published."""
        return self._store.current(client, name)

    def templates(self, client: str | None, limit: int, after: tuple[str, str] | None = None) -> TemplatePage:
        """At most ``limit`` templates of an account, or of all, behind the client and name ``after``."""
        found = self._store.templates(client, limit + 1, after)
        last = found[limit - 1].newest if len(found) > limit else None
        return TemplatePage(found[:limit], None if last is None else (last.client, last.name))

    def _newest(self, client: str, name: str) -> VersionSummary | None:
        return next(iter(self._store.versions(client, name, 1)), None)

    def _same(self, newest: VersionSummary, source: TemplateSource, contents: Contents) -> TemplateVersion | None:
        """The newest version, where it says the same. What is sent is what counts: a layout that changed makes a new
        version of an unchanged source."""
        try:
            known = self._store.get(newest.client, newest.name, newest.version)
        except UnreadableVersionError:
            return None
        return known if known is not None and (known.source, known.prepared) == (source, contents) else None

    def _check_limits(self, client: str, newest: VersionSummary | None) -> None:
        """Raise ``InvalidRequestError`` where nothing more may be kept behind ``newest``; None: of a new template."""
        if newest is not None and newest.version >= self._versions_limit:
            raise _too_many(
                f"{newest.name!r} has {newest.version} versions, and may have {self._versions_limit}. Save it by "
                "another name, or ask who runs WaveCom for more (WAVECOM_TEMPLATE_VERSIONS)"
            )
        if newest is None and self._store.count(client, self._templates_limit) >= self._templates_limit:
            raise _too_many(
                f"this account has {self._templates_limit} templates, as many as it may have. Save it as a version of "
                "one of them, or ask who runs WaveCom for more (WAVECOM_CLIENT_TEMPLATES)"
            )

    def _checked(self, name: str, data: Mapping[str, Any]) -> TemplateSource:
        source, problems = read_source(data)
        if not is_template_name(name):
            problems.insert(0, Problem("/name", f"must be {NAME_RULE}", "invalid"))
        if source is None or problems:
            raise InvalidRequestError(problems)
        return source

    def _finder(self, client: str) -> Callable[[TemplateKind, str], TemplateSource | None]:
        def find(_kind: TemplateKind, name: str) -> TemplateSource | None:
            number = self._store.current(client, name)
            found = None if number is None else self._store.get(client, name, number)
            return None if found is None else found.source

        return find

    def _note(self, action: TemplateAction, actor: str, version: TemplateVersion) -> None:
        event = TemplateEvent(
            self._new_id(), action, actor, self._clock.now(), version.client, version.name, version.version
        )
        self._audit.record_template_event(event)
        log.info(
            "template_changed",
            action=action.value,
            client=version.client,
            template=version.name,
            version=version.version,
            actor=actor,
        )


def _too_many(text: str) -> InvalidRequestError:
    return InvalidRequestError([Problem("", f"is refused: {text}", "too_many")])
