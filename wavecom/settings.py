"""Everything that can be set, read from the environment once; nothing else reads it.

``Settings.from_environment()`` names every missing or wrong variable in one ``SettingsError``. The table of
variables in docs/operations.md is held equal to this module by a test.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, ValidationError, validate

from wavecom.amqp_address import AmqpAddress, TlsFiles
from wavecom.core.keywords import KEYWORDS, normalised
from wavecom.core.receipt_thresholds import LONGEST_WINDOW_SECONDS, ReceiptThresholds
from wavecom.core.strength import COMMAND, LEAST_BITS, estimated_bits
from wavecom.errors import Problem, SettingsError

#: Written by ``wavecom run`` while its private servers are up, so that commands typed beside it find them.
SERVERS_FILE = "servers.env"
_LONGEST_SECRET = 200
_MOST_PROCESSES = 512
_AUTOMATIC = "auto"
#: Characters that fit into ten parts of a text message in any alphabet.
_LONGEST_HELP = 670


def default_home() -> Path:
    """``var/`` of the source checkout that this package is installed from, else of the current folder."""
    checkout = Path(__file__).resolve().parent.parent
    return (checkout if (checkout / "setup.cfg").is_file() else Path.cwd()) / "var"


class MailAddresses(StrEnum):
    """Who decides which e-mail addresses there may be."""

    INTERNET = "internet"
    RELAY = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process's settings. Defaults suit one machine; production sets the three server addresses and a key."""

    home: Path = field(default_factory=default_home)
    mongodb_uri: str = "mongodb://127.0.0.1:27017/wavecom?w=majority&journal=true"
    #: The nodes of one broker: ``wavecom.amqp_address`` says in which forms.
    amqp_url: str = field(default="amqp://guest:guest@127.0.0.1:5672//", repr=False)
    #: For amqps: the authorities to trust (None: the system's), and the certificate and key to show.
    amqp_ca_file: Path | None = None
    amqp_cert_file: Path | None = None
    amqp_key_file: Path | None = None
    redis_url: str = "redis://127.0.0.1:6379/0"
    #: The RabbitMQ management API, for Flower's queue page; empty: Flower shows no queues.
    rabbitmq_api_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    flower_port: int = 5555
    #: Where each process serves its metrics: the first free port from this one on; None: nowhere.
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    #: The providers file; None: the sandbox serves every channel.
    providers_file: Path | None = None
    #: When set, this key exists, live, with all rights.
    api_key: str | None = field(default=None, repr=False)
    #: When set, operators may log in to the pages with it instead of a key.
    operator_password: str | None = field(default=None, repr=False)
    #: For the user ``operator`` of Flower. None: kept in a file under ``home``.
    flower_password: str | None = field(default=None, repr=False)
    #: Whether Flower may control workers: stop them, cancel their consumers, revoke and send tasks.
    flower_control: bool = False
    #: Signs the pages' session cookies; must be the same for all web processes. None: kept in a file under ``home``.
    secret_key: str | None = field(default=None, repr=False)
    #: A session of the pages ends so long after somebody looked at one last, and so long after its login.
    session_idle_minutes: int = 60
    session_hours: int = 12
    web_workers: int = 1
    web_threads: int = 128
    #: Connections that a web process holds at once, idle ones too. Read by the Procfile.
    web_connections: int = 8192
    #: Worker processes that ``wavecom run`` starts; "auto": as many as the load needs, within the bounds that follow.
    workers: int = 1
    workers_follow_load: bool = False
    workers_min: int = 1
    workers_max: int = 4
    #: A backlog should be worked off within so long; workers that were not needed for so long are ended.
    drain_seconds: int = 60
    scale_down_seconds: int = 120
    worker_concurrency: int = 384
    #: What large attachments may take of a worker's memory while they are sent, in MiB.
    attachment_memory_mib: int = 128
    #: How far workers that take no high lane step back for other processes of their machine: 0 to 19, as ``nice``.
    worker_niceness: int = 15
    #: Whether undocumented parts of Celery, kombu, py-amqp and marshmallow may be used, which saves most of their cost.
    fast_paths: bool = True
    max_body_bytes: int = 14 * 1024 * 1024
    max_requests_in_flight: int = 512
    #: Which e-mail addresses are taken: the Internet's, or whatever the mail relay may know.
    mail_addresses: MailAddresses = MailAddresses.INTERNET
    #: Signs besides letters and digits that a name as sender of an SMS may hold.
    sender_id_signs: str = ""
    #: Names under which the web process may be asked for, beside addresses, names without a dot and the machine's own.
    allowed_hosts: tuple[str, ...] = ()
    #: Sites whose pages may use the API, as ``https://shop.example``; usually none.
    cors_origins: tuple[str, ...] = ()
    #: Proxies of ours between clients and the web app, one behind the other: what they forward is believed.
    trusted_proxies: int = 0
    #: What the world calls this deployment, as ``https://notify.bank.example``, perhaps with a path; None: not told.
    public_url: str | None = None
    #: What links in mails, by which recipients unsubscribe, are made with: the first; all are read. The same for all
    #: web processes. Empty: one is kept in a file under ``home``.
    unsubscribe_keys: tuple[str, ...] = field(default=(), repr=False)
    #: Languages whose words for STOP, START and HELP count in text messages, and further words for each.
    keyword_languages: tuple[str, ...] = tuple(KEYWORDS)
    stop_words: tuple[str, ...] = ()
    start_words: tuple[str, ...] = ()
    help_words: tuple[str, ...] = ()
    #: What HELP is answered with, by language; the first for all others. Empty: the provider answers, or nobody.
    help_texts: Mapping[str, str] = field(default_factory=dict)
    #: What a key may send, unless its record says otherwise; None: as much as it likes.
    key_rate_per_second: float | None = None
    key_daily_quota: int | None = None
    #: Whether a provider's weight falls while its receipts are slow or bad, and when they are.
    adjust_weights: bool = True
    receipt_thresholds: ReceiptThresholds = field(default_factory=ReceiptThresholds)
    retry_base_seconds: float = 4
    retry_cap_seconds: float = 43_200
    #: Attempts of a notification that does not say how many.
    max_attempts: int = 5
    log_level: str = "warning"
    #: What the providers file may refer to with "$NAME": the whole environment, never shown.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    known_variables: frozenset[str] = field(default=frozenset(), repr=False)  # that settings are read from
    #: Unique among all processes of the fleet.
    worker_name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @property
    def expected_workers(self) -> int:
        """Worker processes, those of the high lanes included, that share what providers allow."""
        return 2 * self.workers_max if self.workers_follow_load else self.workers + 1

    @property
    def amqp(self) -> AmqpAddress:
        """The broker's nodes, and how to connect to them. Raises ``ValueError`` for a URL that can't be read."""
        files = TlsFiles(self.amqp_ca_file, self.amqp_cert_file, self.amqp_key_file)
        return AmqpAddress.parse(self.amqp_url, files)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read ``environment`` (default: the process's own). Raises ``SettingsError`` naming every problem."""
        source = dict(os.environ if environment is None else environment)
        home = Path(source.get("WAVECOM_HOME") or default_home()).absolute()
        for name, value in _servers_file(home / SERVERS_FILE).items():
            source.setdefault(name, value)
        return _parse(home, source)


def _servers_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; no file, no variables."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        reason = f"holds {path}, which can't be read ({error.strerror}); run this as who started WaveCom"
        raise SettingsError([Problem("WAVECOM_HOME", reason)]) from error
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


class _Reader(Env):
    """environs over a mapping of ours. An empty variable is one that is not set: so shells spell "none"."""

    def __init__(self, source: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._source, self.names = source, set[str]()

    def _get_value(self, env_key: str, default: object) -> object:
        self.names.add(env_key)
        return self._source.get(env_key, "").strip() or default


def _between(low: float, high: float, what: str = "a whole number") -> validate.Range:
    return validate.Range(low, high, error=f"must be {what} from {{min}} to {{max}}, not {{input}}")


def _parse(home: Path, source: Mapping[str, str]) -> Settings:
    env = _Reader(source)
    port = _between(1, 65535, "a port")
    count = _between(1, _MOST_PROCESSES)
    seconds = _between(1, 86_400, "seconds")
    whole_seconds = _between(1, 86_400, "whole seconds")
    level = validate.OneOf(["debug", "info", "warning", "error"], error="must be one of {choices}, not {input}")
    workers = env.str("WAVECOM_WORKERS", None, validate=_is_count_or_automatic)
    # attribute of Settings -> the value read, None where the variable is not set
    values: dict[str, Any] = {
        "mongodb_uri": env.str("MONGODB_URI", None, validate=_address("mongodb://", "mongodb+srv://")),
        "amqp_url": env.str("AMQP_URL", None, validate=_is_amqp_address),
        "amqp_ca_file": env.path("WAVECOM_AMQP_CA_FILE", None, validate=_is_file),
        "amqp_cert_file": env.path("WAVECOM_AMQP_CERT_FILE", None, validate=_is_file),
        "amqp_key_file": env.path("WAVECOM_AMQP_KEY_FILE", None, validate=_is_file),
        "redis_url": env.str("REDIS_URL", None, validate=_address("redis://", "rediss://", "unix://")),
        "rabbitmq_api_url": env.str("WAVECOM_RABBITMQ_API_URL", None, validate=_address("http://", "https://")),
        "host": env.str("WAVECOM_HOST", None),
        "port": env.int("WAVECOM_PORT", None, validate=port),
        "flower_port": env.int("WAVECOM_FLOWER_PORT", None, validate=port),
        "metrics_port": env.int("WAVECOM_METRICS_PORT", None, validate=port),
        "metrics_host": env.str("WAVECOM_METRICS_HOST", None),
        "providers_file": env.path("WAVECOM_PROVIDERS", None, validate=_is_file),
        "api_key": env.str("WAVECOM_API_KEY", None, validate=_is_strong),
        "operator_password": env.str("WAVECOM_OPERATOR_PASSWORD", None, validate=_is_strong),
        "flower_password": env.str("WAVECOM_FLOWER_PASSWORD", None, validate=_is_strong),
        "flower_control": env.bool("WAVECOM_FLOWER_CONTROL", None),
        "secret_key": env.str("WAVECOM_SECRET_KEY", None, validate=_is_strong),
        "session_idle_minutes": env.int("WAVECOM_SESSION_IDLE_MINUTES", None, validate=_between(1, 1440, "minutes")),
        "session_hours": env.int("WAVECOM_SESSION_HOURS", None, validate=_between(1, 168, "hours")),
        "web_workers": env.int("WAVECOM_WEB_WORKERS", None, validate=count),
        "web_threads": env.int("WAVECOM_WEB_THREADS", None, validate=count),
        "web_connections": env.int("WAVECOM_WEB_CONNECTIONS", None, validate=_between(64, 65_536)),
        "workers": None if workers in (None, _AUTOMATIC) else int(workers),
        "workers_follow_load": True if workers == _AUTOMATIC else None,
        "workers_min": env.int("WAVECOM_WORKERS_MIN", None, validate=count),
        "workers_max": env.int("WAVECOM_WORKERS_MAX", None, validate=count),
        "drain_seconds": env.int("WAVECOM_DRAIN_SECONDS", None, validate=whole_seconds),
        "scale_down_seconds": env.int("WAVECOM_SCALE_DOWN_SECONDS", None, validate=whole_seconds),
        "worker_concurrency": env.int("WAVECOM_WORKER_CONCURRENCY", None, validate=count),
        "attachment_memory_mib": env.int("WAVECOM_ATTACHMENT_MEMORY_MIB", None, validate=_between(1, 65_536, "MiB")),
        "worker_niceness": env.int("WAVECOM_WORKER_NICENESS", None, validate=_between(0, 19)),
        "fast_paths": env.bool("WAVECOM_FAST_PATHS", None),
        "max_body_bytes": env.int(
            "WAVECOM_MAX_BODY_BYTES",
            None,
            # A job must fit into one MongoDB document of 16 MiB, with everything that is not the body.
            validate=_between(1024, 15 * 1024 * 1024, "bytes"),
        ),
        "sender_id_signs": env.str(
            "WAVECOM_SENDER_ID_SIGNS",
            None,
            validate=validate.ContainsOnly("&.-_", error='must be some of the signs "&.-_", such as "&-"'),
        ),
        "mail_addresses": env.enum(
            "WAVECOM_MAIL_ADDRESSES",
            None,
            enum=MailAddresses,
            by_value=True,
        ),
        "trusted_proxies": env.int(
            "WAVECOM_TRUSTED_PROXIES",
            None,
            validate=validate.Range(0, 10, error="must be how many there are, from {min} to {max}, not {input}"),
        ),
        "keyword_languages": _parts(env.str("WAVECOM_KEYWORD_LANGUAGES", None, validate=_are_languages)),
        "stop_words": _parts(env.str("WAVECOM_STOP_WORDS", None, validate=_are_words)),
        "start_words": _parts(env.str("WAVECOM_START_WORDS", None, validate=_are_words)),
        "help_words": _parts(env.str("WAVECOM_HELP_WORDS", None, validate=_are_words)),
        "help_texts": _help_texts(env.str("WAVECOM_HELP_TEXTS", None, validate=_are_help_texts)),
        "unsubscribe_keys": _parts(env.str("WAVECOM_UNSUBSCRIBE_KEYS", None, validate=_are_strong)),
        "public_url": _base_url(env.str("WAVECOM_PUBLIC_URL", None, validate=_is_base_url)),
        "allowed_hosts": _parts(env.str("WAVECOM_ALLOWED_HOSTS", None, validate=_are_hosts)),
        "cors_origins": _parts(env.str("WAVECOM_CORS_ORIGINS", None, validate=_are_origins)),
        "max_requests_in_flight": env.int("WAVECOM_MAX_REQUESTS_IN_FLIGHT", None, validate=count),
        "key_rate_per_second": env.float(
            "WAVECOM_KEY_RATE_PER_SECOND", None, validate=_between(0.01, 1_000_000, "a number")
        ),
        "key_daily_quota": env.int("WAVECOM_KEY_DAILY_QUOTA", None, validate=_between(1, 10**12)),
        "adjust_weights": env.bool("WAVECOM_ADJUST_WEIGHTS", None),
        "receipt_thresholds": _receipt_thresholds(env),
        "retry_base_seconds": env.float("WAVECOM_RETRY_BASE_SECONDS", None, validate=seconds),
        "max_attempts": env.int("WAVECOM_MAX_ATTEMPTS", None, validate=_between(1, 20)),
        "retry_cap_seconds": env.float("WAVECOM_RETRY_CAP_SECONDS", None, validate=seconds),
        "log_level": env.str("WAVECOM_LOG_LEVEL", None, validate=level),
    }
    values["known_variables"] = frozenset(env.names)
    try:
        env.seal()
    except EnvValidationError as error:
        messages: Any = error.error_messages
        problems = [Problem(name, " ".join(map(str, texts))) for name, texts in messages.items()]
        raise SettingsError(problems) from error
    settings = Settings(
        home=home, environment=source, **{key: value for key, value in values.items() if value is not None}
    )
    if problems := [*_unused_tls_files(settings.amqp), *_too_short_window(settings.receipt_thresholds)]:
        raise SettingsError(problems)
    return settings


def _receipt_thresholds(env: Env) -> ReceiptThresholds:
    share = _between(0.01, 1, "a share")
    window = _between(60, LONGEST_WINDOW_SECONDS, "whole seconds")
    given: dict[str, Any] = {
        "slow_after_seconds": env.int(
            "WAVECOM_RECEIPT_SLOW_SECONDS", None, validate=_between(1, 3_000, "whole seconds")
        ),
        "slow_share": env.float("WAVECOM_RECEIPT_SLOW_SHARE", None, validate=share),
        "bad_share": env.float("WAVECOM_RECEIPT_BAD_SHARE", None, validate=share),
        "window_seconds": env.int("WAVECOM_RECEIPT_WINDOW_SECONDS", None, validate=window),
        "least_messages": env.int("WAVECOM_RECEIPT_LEAST_MESSAGES", None, validate=_between(1, 1_000_000)),
    }
    return ReceiptThresholds(**{name: value for name, value in given.items() if value is not None})


def _too_short_window(thresholds: ReceiptThresholds) -> list[Problem]:
    """What must fit together for a message to be seen to miss its receipt."""
    shortest = thresholds.shortest_window_seconds
    reason = f"must be three minutes longer than WAVECOM_RECEIPT_SLOW_SECONDS, {shortest} or more: messages that miss"
    problem = Problem("WAVECOM_RECEIPT_WINDOW_SECONDS", f"{reason} their receipts would not be seen")
    return [] if thresholds.window_seconds >= shortest else [problem]


def _unused_tls_files(amqp: AmqpAddress) -> list[Problem]:
    """Files that would be passed over: whoever sets one believes that connections are encrypted, or show it."""
    files = {
        "WAVECOM_AMQP_CA_FILE": amqp.tls.ca,
        "WAVECOM_AMQP_CERT_FILE": amqp.tls.certificate,
        "WAVECOM_AMQP_KEY_FILE": amqp.tls.key,
    }
    if not amqp.is_encrypted:
        reason = "is for TLS, and AMQP_URL asks for none: let AMQP_URL begin with amqps://, or take this away"
        return [Problem(name, reason) for name, path in files.items() if path is not None]
    if amqp.tls.key is not None and amqp.tls.certificate is None:
        reason = "is the key of no certificate: set WAVECOM_AMQP_CERT_FILE too, or take this away"
        return [Problem("WAVECOM_AMQP_KEY_FILE", reason)]
    return []


def _is_strong(value: str) -> None:
    """For every secret that WaveCom is asked for: guesses at it are slowed down, never stopped."""
    # Never echo the value.
    if len(value) > _LONGEST_SECRET:
        raise ValidationError(f"must have at most {_LONGEST_SECRET} characters")
    if estimated_bits(value) < LEAST_BITS:
        raise ValidationError(
            f"is too easy to guess: it must have {LEAST_BITS} bits of chance, not words, patterns or repetitions. "
            f"Make one with: {COMMAND}"
        )


def _is_count_or_automatic(value: str) -> None:
    if value != _AUTOMATIC and not (value.isdecimal() and 1 <= int(value) <= _MOST_PROCESSES):
        raise ValidationError(f'must be a whole number from 1 to {_MOST_PROCESSES}, or "{_AUTOMATIC}", not {value}')


def _are_languages(value: str) -> None:
    for language in _parts(value) or ():
        if language not in KEYWORDS:
            raise ValidationError(f"must be some of {', '.join(KEYWORDS)}, parted by commas; {language} is none")


def _are_words(value: str) -> None:
    for word in _parts(value) or ():
        if not normalised(word):
            raise ValidationError("must be words parted by commas, each with a letter or digit in it")


def _help_texts(value: str | None) -> dict[str, str] | None:
    """A text by language; empty for what is no such table."""
    try:
        found = json.loads(value or "{}")
    except ValueError:
        return {}
    is_table = isinstance(found, dict) and all(isinstance(text, str) and text.strip() for text in found.values())
    return found if is_table and set(found) <= set(KEYWORDS) else {}


def _are_help_texts(value: str) -> None:
    texts = _help_texts(value)
    if not texts:
        raise ValidationError(
            'must be JSON with a text for each language, such as {"en": "Bank alerts. Reply STOP to stop."}; there are '
            f"{', '.join(KEYWORDS)}"
        )
    if any(len(text) > _LONGEST_HELP for text in texts.values()):
        raise ValidationError(f"must have texts of at most {_LONGEST_HELP} characters")


def _are_strong(value: str) -> None:
    for secret in _parts(value) or ():
        _is_strong(secret)


def _address(*schemes: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        # Never echo the value: addresses carry passwords.
        if not value.startswith(schemes):
            raise ValidationError(f"must begin with {' or '.join(schemes)}")

    return check


def _is_amqp_address(value: str) -> None:
    try:
        AmqpAddress.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


_BASE_URL = re.compile(rf"(?:{_ORIGIN.pattern})(?:/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)


def _is_base_url(value: str) -> None:
    if not _BASE_URL.fullmatch(value):
        raise ValidationError(
            "must be the address under which the world reaches this deployment, such as https://notify.bank.example, "
            "without a user, a query and a fragment"
        )


def _base_url(value: str | None) -> str | None:
    return None if value is None else value.rstrip("/")


_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def _are_hosts(value: str) -> None:
    for host in _parts(value) or ():
        if not _HOST.fullmatch(host):
            raise ValidationError(
                f"must be names parted by commas, such as notify.bank.example or *.bank.example, without schemes and "
                f"ports; {host} is none"
            )


def _are_origins(value: str) -> None:
    for origin in _parts(value) or ():
        if not _ORIGIN.fullmatch(origin):
            raise ValidationError(
                f"must be origins parted by commas, such as https://shop.example, without paths and never *; "
                f"{origin} is none"
            )


def _parts(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(filter(None, (part.strip() for part in value.split(","))))


def _is_file(path: Path) -> None:
    if not path.is_file():
        raise ValidationError(f"there is no file {path}; give the path of one that can be read")
