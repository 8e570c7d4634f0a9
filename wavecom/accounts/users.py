"""People who sign in to the pages by name: made and changed by an operator's command, checked at the login.

The audit entry is written before the deed: nothing is done without one. A new password or second factor ends the
sessions that were opened before, and so does keeping a user out.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from wavecom.accounts.keyring import hash_of
from wavecom.accounts.passwords import hash_password, is_right_password, new_password, password_problem
from wavecom.accounts.second_factor import SecondFactor, SecondFactorError
from wavecom.accounts.throttle import EventLimiter, network_of
from wavecom.core.ports import Clock
from wavecom.core.roles import Role
from wavecom.core.sign_on import PREFIX, Identity, SignOnError
from wavecom.core.users import USER_NAME_RULE, UserAction, UserAudit, UserEvent, UserRecord, UserStore, is_user_name
from wavecom.errors import ConflictError, RefusedError

log = structlog.get_logger()

#: Who gives whom an identity provider vouches for his role.
_BY_GROUPS = "identity provider"
#: Wrong names, passwords and codes from one network in a minute; the next is not even looked at.
GUESSES_PER_MINUTE = 20
#: Wrong codes with the right password, for one user in ten minutes, from wherever: of a million codes three are right.
CODES_PER_TEN_MINUTES = 10


class UserNotFoundError(RefusedError):
    """There is no user of this name."""

    code = "user_not_found"


class UserExistsError(ConflictError):
    """There is a user of this name already."""

    code = "user_exists"


class InvalidUserError(RefusedError):
    """The name or the password is none that a user may have."""

    code = "invalid_user"


@dataclass(frozen=True, slots=True)
class UserCredentials:
    """What a user signs in with, in the one moment in which it is known. Without a second factor two are empty."""

    password: str = field(repr=False)
    #: The shared secret in base 32, and the same as an address for authenticator apps.
    shared_secret: str = field(default="", repr=False)
    otpauth: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LoginResult:
    """What came of a login: the user, or None and for how long not to try again (0: at once)."""

    user: UserRecord | None
    wait_seconds: float = 0


class Users:
    """The use cases behind ``wavecom users`` and the login. Thread-safe. All methods raise ``StoreError``."""

    def __init__(
        self,
        *,
        store: UserStore,
        audit: UserAudit,
        clock: Clock,
        monotonic: Callable[[], float],
        new_id: Callable[[], str],
        secret: Callable[[], bytes],
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        #: A callable: the secret may be in a file, which a command that only lists users does not need.
        self._secret = secret
        self._guesses = EventLimiter(monotonic, limit=GUESSES_PER_MINUTE, window_seconds=60)
        self._codes = EventLimiter(monotonic, limit=CODES_PER_TEN_MINUTES, window_seconds=600)

    # --- signing in ---------------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, code: str, address: str) -> LoginResult:
        """Check what somebody typed at ``address``. Every wrong part is answered alike, and takes as long.

        Unlike a key, a code of six digits can be guessed; so who has guessed too often is refused unheard: a network
        for whatever it tried, a user (from wherever) only for wrong codes with the right password, so that no stranger
        keeps anybody out.
        """
        network = network_of(address)
        name = name.strip().casefold()
        # Before it counts: a store that is away is nobody's guess.
        user = self._store.find(name) if is_user_name(name) else None
        # Counted before it is looked at, and taken back if it was right: many tries at once are as many tries.
        wait_seconds = self._guesses.count(network)
        if wait_seconds:
            return LoginResult(None, wait_seconds)
        is_right = is_right_password(password, None if user is None else user.password_hash)
        if user is None or not is_right or user.disabled_at is not None:
            return LoginResult(None)
        wait_seconds = self._codes.count(name)
        if wait_seconds:
            self._guesses.take_back(network)
            log.warning("second_factor_throttled", user=name, address=address)
            return LoginResult(None, wait_seconds)
        if not self._is_right_code(user, code):
            return LoginResult(None)
        self._codes.take_back(name)
        self._guesses.take_back(network)
        return LoginResult(user)

    def admit(self, identity: Identity) -> UserRecord:
        """The user for whom an identity provider vouches, made at the first sign-in, with the role of today's groups.

        He is known by issuer and subject, and keeps the name of the first day: a name may be given to another person
        later. Raises ``SignOnError`` for who is kept out here.
        """
        user = self._store.find_by_subject(identity.issuer, identity.subject) or self._add_federated(identity)
        if user.disabled_at is not None:
            raise SignOnError("You are kept out of WaveCom. Ask an admin to let you in again.", "kept_out")
        if user.role is not identity.role:
            self._note(UserAction.CHANGE_ROLE, _BY_GROUPS, user.name, role=identity.role.value, before=user.role.value)
            self._store.set_role(user.name, identity.role)
            user = replace(user, role=identity.role)
        self._note(UserAction.SIGN_ON, f"user {user.name}", user.name, subject=user.subject, role=user.role.value)
        return user

    def find(self, name: str) -> UserRecord | None:
        """The user as he is now; None when there is none of this name, or he is kept out."""
        found = self._store.find(name)
        return found if found is not None and found.disabled_at is None else None

    def change_password(self, name: str, old: str, new: str) -> UserRecord:
        """Replace a user's password by one of his own; answers him as he is then. His sessions end.

        Raises ``InvalidUserError``, also when somebody else has given him new credentials meanwhile: those hold.
        """
        user = self._with_password(name)
        # Whoever sits down at an open session may guess no faster than at the login.
        own = f"password of {name}"
        wait_seconds = self._guesses.count(own)
        if wait_seconds:
            raise InvalidUserError(f"There were too many wrong tries. Wait {math.ceil(wait_seconds)} seconds.")
        if not is_right_password(old, user.password_hash):
            raise InvalidUserError("The present password is another one.")
        self._guesses.take_back(own)
        problem = password_problem(new, name)
        if problem:
            raise InvalidUserError(problem)
        self._note(UserAction.CHANGE_PASSWORD, f"user {name}", name)
        changed = replace(user, password_hash=hash_password(new), credentials_id=secrets.token_hex(8))
        is_changed = self._store.set_credentials(
            name,
            password_hash=changed.password_hash,
            second_factor=changed.second_factor,
            credentials_id=changed.credentials_id,
            replaces=user.credentials_id,
        )
        if not is_changed:
            raise InvalidUserError("Your password was changed elsewhere at the same moment. Sign in again.")
        return changed

    # --- administration -----------------------------------------------------------------------------------------------

    def list(self) -> Sequence[UserRecord]:
        """Every user, by name, those that are kept out included."""
        return self._store.all()

    def add(self, name: str, role: Role, *, by: str, has_second_factor: bool = True) -> UserCredentials:
        """A new user with a password made here. Raises ``InvalidUserError`` and ``UserExistsError``."""
        if not is_user_name(name):
            raise InvalidUserError(f"A user's name has {USER_NAME_RULE}.")
        made, kept = self._new_credentials(name, has_second_factor)
        if self._store.find(name) is not None:
            raise UserExistsError(f"There is a user {name}. To give new credentials: wavecom users reset {name}.")
        self._note(UserAction.ADD, by, name, role=role.value, secondFactor=has_second_factor)
        record = UserRecord(
            name=name,
            role=role,
            created_at=self._clock.now(),
            password_hash=hash_password(made.password),
            second_factor=kept,
            credentials_id=secrets.token_hex(8),
        )
        if not self._store.add(record):
            raise UserExistsError(f"Somebody made a user {name} at the same moment.")
        return made

    def change_role(self, name: str, role: Role, *, by: str) -> None:
        """Give a user another role; holds for his open sessions too.

        Raises ``UserNotFoundError``, and ``InvalidUserError`` for one whose role the identity provider decides.
        """
        before = self._with_password(name).role
        self._note(UserAction.CHANGE_ROLE, by, name, role=role.value, before=before.value)
        self._store.set_role(name, role)

    def disable(self, name: str, *, by: str) -> None:
        """Keep a user out; his sessions end at once. Raises ``UserNotFoundError``."""
        self._existing(name)
        self._note(UserAction.DISABLE, by, name)
        self._store.set_disabled(name, self._clock.now())

    def enable(self, name: str, *, by: str) -> None:
        """Let a user in again, with the credentials he had. Raises ``UserNotFoundError``."""
        self._existing(name)
        self._note(UserAction.ENABLE, by, name)
        self._store.set_disabled(name, None)

    def reset(self, name: str, *, by: str, has_second_factor: bool = True) -> UserCredentials:
        """New credentials in place of lost ones; open sessions end.

        Raises ``UserNotFoundError``, and ``InvalidUserError`` for one who has none here.
        """
        self._with_password(name)
        made, kept = self._new_credentials(name, has_second_factor)
        self._note(UserAction.RESET, by, name, secondFactor=has_second_factor)
        self._store.set_credentials(
            name,
            password_hash=hash_password(made.password),
            second_factor=kept,
            credentials_id=secrets.token_hex(8),
        )
        return made

    # --- what they share ----------------------------------------------------------------------------------------------

    def _is_right_code(self, user: UserRecord, code: str) -> bool:
        if user.second_factor is None:
            return True
        try:
            step = SecondFactor(self._secret()).step_of(code, user.second_factor, user.name, self._clock.now())
        except SecondFactorError as error:
            log.warning("second_factor_unreadable", user=user.name, error=str(error))
            return False
        return step is not None and step > user.last_step and self._store.take_step(user.name, step)

    def _new_credentials(self, name: str, has_second_factor: bool) -> tuple[UserCredentials, bytes | None]:
        if not has_second_factor:
            return UserCredentials(new_password()), None
        kept, shared_secret, otpauth = SecondFactor(self._secret()).new(name)
        return UserCredentials(new_password(), shared_secret, otpauth), kept

    def _existing(self, name: str) -> UserRecord:
        found = self._store.find(name)
        if found is None:
            raise UserNotFoundError(f"There is no user {name}. wavecom users list shows all.")
        return found

    def _with_password(self, name: str) -> UserRecord:
        found = self._existing(name)
        if found.is_federated:
            raise InvalidUserError(f"{name} signs in by single sign-on: password and role are the identity provider's.")
        return found

    def of_subject(self, issuer: str, subject: str) -> UserRecord | None:
        """The user whom an identity provider knows by ``subject``; None: nobody has signed in as that yet."""
        return self._store.find_by_subject(issuer, subject)

    def _add_federated(self, identity: Identity) -> UserRecord:
        """A new user under the name that the provider gives him, with a mark where that is another person's."""
        mark = hash_of(f"{identity.issuer} {identity.subject}")[:8]
        for name in (f"{PREFIX}{identity.name}", f"{PREFIX}{identity.name}.{mark}"):
            record = UserRecord(
                name=name,
                role=identity.role,
                created_at=self._clock.now(),
                password_hash="",  # opens nothing: no text has it
                credentials_id=secrets.token_hex(8),
                issuer=identity.issuer,
                subject=identity.subject,
            )
            if self._store.find(name) is None:
                self._note(UserAction.ADD, _BY_GROUPS, name, role=identity.role.value, subject=identity.subject)
                if self._store.add(record):
                    return record
            # Signed in at two browsers at once?
            found = self._store.find_by_subject(identity.issuer, identity.subject)
            if found is not None:
                return found
        raise SignOnError("Your name is taken here by another person. Ask who runs WaveCom.", "name_taken")

    def _note(self, action: UserAction, by: str, user: str, **details: object) -> None:
        event = UserEvent(
            event_id=self._new_id(), action=action, actor=by, at=self._clock.now(), user=user, details=details
        )
        self._audit.record_user_event(event)
        log.info(action.value, user=user, actor=by)
