"""Signing in by an identity provider: begun here, gone through there, finished here.

What is begun is kept by the browser, in the signed cookie of its session, so that strangers can't fill a store; an
answer counts only in the browser that has begun it (login CSRF, RFC 9700, section 4.7).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from wavecom.accounts.sessions import Sessions
from wavecom.accounts.throttle import EventLimiter, network_of
from wavecom.accounts.users import GUESSES_PER_MINUTE, Users
from wavecom.core.sign_on import ClaimRules, SignOnError, identity_of
from wavecom.core.users import UserRecord

#: From the click to the answer: somebody may have to find his phone.
LONGEST_SECONDS: Final = 600.0
#: A session that was opened so long after the provider's clock has said that it is over was opened before, too.
CLOCKS_DIFFER_SECONDS: Final = 5.0
#: Whom the audit names for sessions that the provider has ended.
_BY_PROVIDER: Final = "identity provider"
#: How long texts of the answer may be that are looked at.
_LONGEST_PARAMETER: Final = 4096


class SignedOnClaims(Protocol):
    """What a code is exchanged for."""

    @property
    def claims(self) -> Mapping[str, Any]:
        """Checked claims of the person."""
        ...

    @property
    def id_token(self) -> str:
        """The token that they are from."""
        ...


class SignedOutClaims(Protocol):
    """Whom a logout token names."""

    @property
    def subject(self) -> str | None:
        """A person."""
        ...

    @property
    def session(self) -> str | None:
        """One of the provider's sessions."""
        ...

    @property
    def issued_at(self) -> float:
        """In seconds since 1970."""
        ...


class CodeFlow(Protocol):
    """The identity provider, ``accounts.identity_provider.IdentityProvider``, which says what each method raises."""

    @property
    def issuer(self) -> str:
        """Its name of itself."""
        ...

    def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in."""
        ...

    def check_issuer_of_answer(self, issuer: str | None) -> None:
        """Refuse the answer of another provider."""
        ...

    def redeem(
        self, code: str, *, verifier: str, redirect_uri: str, nonce: str, wanted: Sequence[str] = ()
    ) -> SignedOnClaims:
        """Exchange a code for checked claims."""
        ...

    def logout_url(self, id_token: str | None, return_to: str) -> str | None:
        """Where a browser ends its session with the provider."""
        ...

    def signed_out(self, logout_token: str) -> SignedOutClaims:
        """Whom a logout token names, once it is checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunSignOn:
    """What a browser must bring back with its answer. Each secret is of 256 random bits."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    #: Of PKCE (RFC 7636): the code is worth nothing without it.
    verifier: str = field(repr=False)
    redirect_uri: str
    #: The path to go to afterwards.
    wanted: str
    #: Seconds since 1970.
    begun_at: float

    def as_json(self) -> dict[str, str | float]:
        """For the cookie."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: object) -> BegunSignOn | None:
        """What ``as_json`` has made; None for anything else."""
        if not isinstance(value, Mapping) or set(value) != {each.name for each in fields(cls)}:
            return None
        return cls(**value)


@dataclass(frozen=True, slots=True)
class SignOnResult:
    """Who has signed in, and the provider's token of it. Nobody: too many tries; wait so long."""

    user: UserRecord | None
    id_token: str = field(default="", repr=False)
    wait_seconds: float = 0


class SignOn:
    """The use cases behind "Sign in with …". Thread-safe; one per process."""

    def __init__(
        self,
        *,
        provider: CodeFlow,
        rules: ClaimRules,
        users: Users,
        seconds_since_1970: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._rules = rules
        self._users = users
        self._seconds_since_1970 = seconds_since_1970
        self._tries = EventLimiter(monotonic, limit=GUESSES_PER_MINUTE, window_seconds=60)

    @property
    def issuer(self) -> str:
        """Who vouches for people."""
        return self._provider.issuer

    def begin(self, redirect_uri: str, wanted: str) -> tuple[str, BegunSignOn]:
        """Where to send the browser, and what it keeps meanwhile. Raises ``UnavailableError``."""
        begun = BegunSignOn(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(32),
            redirect_uri=redirect_uri,
            wanted=wanted,
            begun_at=self._seconds_since_1970(),
        )
        url = self._provider.authorization_url(
            redirect_uri=redirect_uri, state=begun.state, nonce=begun.nonce, verifier=begun.verifier
        )
        return url, begun

    def finish(self, begun: BegunSignOn | None, answer: Mapping[str, str], address: str) -> SignOnResult:
        """Let in whom the provider's ``answer`` (the query of the redirect) vouches for.

        ``begun`` is what this browser keeps under the answer's state, None for nothing; it must not be used again.
        Raises ``SignOnError`` for who is not let in, and ``UnavailableError`` when the provider or the store is away.
        """
        age = None if begun is None else self._seconds_since_1970() - begun.begun_at
        if (
            begun is None
            or age is None
            or not secrets.compare_digest(begun.state.encode(), answer.get("state", "").encode())
        ):
            raise SignOnError(
                "This sign-in was not begun in this browser, or was finished before. Begin again.", "state"
            )
        if not 0 <= age <= LONGEST_SECONDS:
            raise SignOnError("This sign-in took too long. Begin again.", "too_late")
        self._provider.check_issuer_of_answer(answer.get("iss"))
        if "error" in answer:
            raise _refused_there(answer["error"])
        code = answer.get("code", "")
        if not 0 < len(code) <= _LONGEST_PARAMETER:
            raise SignOnError("The identity provider sent no code. Begin again.", "no_code")
        # Each try costs calls to the provider; counted before, and taken back from whoever is let in.
        network = network_of(address)
        wait_seconds = self._tries.count(network)
        if wait_seconds:
            return SignOnResult(None, wait_seconds=wait_seconds)
        signed_on = self._provider.redeem(
            code,
            verifier=begun.verifier,
            redirect_uri=begun.redirect_uri,
            nonce=begun.nonce,
            wanted=self._rules.wanted,
        )
        user = self._users.admit(identity_of(signed_on.claims, self._rules))
        self._tries.take_back(network)
        return SignOnResult(user, signed_on.id_token)

    def logout_url(self, id_token: str | None, return_to: str) -> str | None:
        """Where the browser ends its session with the provider as well; None where there is no such place."""
        return self._provider.logout_url(id_token, return_to)

    def sign_out(self, logout_token: str, sessions: Sessions) -> int:
        """End the sessions that the provider says are over; how many there were. May be called twice.

        Those alone that were opened before it said so: a token that somebody sends again ends no later ones. Raises
        ``SignOnError`` for a token that is not to be trusted, and ``UnavailableError``.
        """
        if not 0 < len(logout_token) <= _LONGEST_PARAMETER:
            raise SignOnError("There is no logout token.", "no_logout_token")
        told = self._provider.signed_out(logout_token)
        viewer = None
        if told.subject is not None:
            user = self._users.of_subject(self._provider.issuer, told.subject)
            if user is None:
                return 0
            viewer = f"user {user.name}"
        until = datetime.fromtimestamp(told.issued_at + CLOCKS_DIFFER_SECONDS, UTC)
        return sessions.end_signed_out(viewer, told.session, until, by=_BY_PROVIDER)


def _refused_there(error: str) -> SignOnError:
    """Of the code in the answer (RFC 6749, section 4.1.2.1), which anybody may have written into the address."""
    match error:
        case "access_denied" | "interaction_required" | "login_required" | "consent_required":
            return SignOnError("You did not sign in with the identity provider, or it did not let you.", "denied")
        case "temporarily_unavailable" | "server_error":
            return SignOnError("The identity provider has trouble of its own. Try again in a moment.", "trouble_there")
        case _:
            return SignOnError(
                "The identity provider refuses WaveCom's request. Who runs WaveCom finds why in its log.",
                "request_refused",
            )
