"""Everything that can be set, read from the environment once; nothing else reads it.

``Settings.from_environment()`` names every missing or wrong variable in one ``SettingsError``. The table of
variables in docs/operations.md is held equal to this module by a test.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, validate

from wavecom.amqp_address import AmqpAddress, TlsFiles
from wavecom.core.keywords import KEYWORDS
from wavecom.core.receipt_thresholds import LONGEST_WINDOW_SECONDS, ReceiptThresholds
from wavecom.errors import Problem, SettingsError
from wavecom.setting_values import (
    AUTOMATIC,
    MOST_PARTITIONS,
    MOST_PROCESSES,
    address,
    are_headers,
    are_help_texts,
    are_hosts,
    are_languages,
    are_origins,
    are_role_groups,
    are_scopes,
    are_single_hosts,
    are_strong,
    are_words,
    base_url,
    between,
    headers,
    help_texts,
    is_amqp_address,
    is_base_url,
    is_count_or_automatic,
    is_file,
    is_issuer,
    is_mongodb_uri,
    is_redis_url,
    is_region,
    is_strong,
    parts,
    role_groups,
)

#: Written by ``wavecom run`` while its private servers are up, so that commands typed beside it find them.
SERVERS_FILE = "servers.env"


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
    mongodb_uri: str = field(default="mongodb://127.0.0.1:27017/wavecom?w=majority&journal=true", repr=False)
    #: The nodes of one broker: ``wavecom.amqp_address`` says in which forms.
    amqp_url: str = field(default="amqp://guest:guest@127.0.0.1:5672//", repr=False)
    #: For amqps: the authorities to trust (None: the system's), and the certificate and key to show.
    amqp_ca_file: Path | None = None
    amqp_cert_file: Path | None = None
    amqp_key_file: Path | None = None
    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
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
    #: Who vouches for people at the pages (OpenID Connect), as it calls itself in its tokens; None: nobody does.
    oidc_issuer: str | None = None
    oidc_client_id: str = ""
    #: None: a public client.
    oidc_client_secret: str | None = field(default=None, repr=False)
    oidc_scopes: tuple[str, ...] = ("openid", "profile")
    #: Role → groups of the provider that have it, and the claims that name a person's groups and the person.
    oidc_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    oidc_roles_claim: str = "groups"
    oidc_name_claim: str = "preferred_username"
    #: The authorities to trust instead of the system's, and what the button at the login calls the provider.
    oidc_ca_file: Path | None = None
    oidc_label: str = "single sign-on"
    #: Whether people may sign in to the pages with passwords; keys of clients open them in any case.
    password_sign_in: bool = True
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
    #: Whether a template's version is published by somebody else than its author alone.
    template_review: bool = False
    #: From how many rows on a campaign needs a second person's approval; None: none does.
    campaign_approval_rows: int | None = None
    #: For how long others may wait in a lane behind what campaigns have put there.
    campaign_lane_seconds: int = 300
    #: How many templates a client's live side, or its test side, may have, and how many versions each.
    client_templates: int = 1_000
    template_versions: int = 1_000
    #: What the uploaded files of a client's live side, or its test side, may hold together, in MiB.
    client_files_mib: int = 1024
    #: How far workers that take no high lane step back for other processes of their machine: 0 to 19, as ``nice``.
    worker_niceness: int = 15
    #: The region whose jobs workers take (providers file, ``[regions]``), and after how long without a worker another
    #: region may take one's backlog.
    region: str = ""
    region_takeover_seconds: int = 60
    #: Into how many queues each lane is parted, whose leaders RabbitMQ spreads over its nodes.
    queue_partitions: int = 1
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
    #: What the secrets of callbacks are kept encrypted with: the first; all are read. The same for all processes.
    #: Empty: one is kept in a file under ``home``.
    callback_keys: tuple[str, ...] = field(default=(), repr=False)
    #: Hosts that callbacks may be sent to though they are at no public address, over http as well.
    callback_private_hosts: tuple[str, ...] = ()
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
    #: Where spans are sent, by OTLP over HTTP; None: nothing is traced.
    traces_url: str | None = None
    #: What logs in there, as headers.
    traces_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The share of notifications that are traced where their callers do not say.
    traces_ratio: float = 0.01
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


def _parse(home: Path, source: Mapping[str, str]) -> Settings:
    env = _Reader(source)
    port = between(1, 65535, "a port")
    count = between(1, MOST_PROCESSES)
    seconds = between(1, 86_400, "seconds")
    whole_seconds = between(1, 86_400, "whole seconds")
    level = validate.OneOf(["debug", "info", "warning", "error"], error="must be one of {choices}, not {input}")
    workers = env.str("WAVECOM_WORKERS", None, validate=is_count_or_automatic)
    # attribute of Settings -> the value read, None where the variable is not set
    values: dict[str, Any] = {
        "mongodb_uri": env.str("MONGODB_URI", None, validate=is_mongodb_uri),
        "amqp_url": env.str("AMQP_URL", None, validate=is_amqp_address),
        "amqp_ca_file": env.path("WAVECOM_AMQP_CA_FILE", None, validate=is_file),
        "amqp_cert_file": env.path("WAVECOM_AMQP_CERT_FILE", None, validate=is_file),
        "amqp_key_file": env.path("WAVECOM_AMQP_KEY_FILE", None, validate=is_file),
        "redis_url": env.str("REDIS_URL", None, validate=is_redis_url),
        "rabbitmq_api_url": env.str("WAVECOM_RABBITMQ_API_URL", None, validate=address("http://", "https://")),
        "host": env.str("WAVECOM_HOST", None),
        "port": env.int("WAVECOM_PORT", None, validate=port),
        "flower_port": env.int("WAVECOM_FLOWER_PORT", None, validate=port),
        "metrics_port": env.int("WAVECOM_METRICS_PORT", None, validate=port),
        "metrics_host": env.str("WAVECOM_METRICS_HOST", None),
        "providers_file": env.path("WAVECOM_PROVIDERS", None, validate=is_file),
        "api_key": env.str("WAVECOM_API_KEY", None, validate=is_strong),
        "operator_password": env.str("WAVECOM_OPERATOR_PASSWORD", None, validate=is_strong),
        "flower_password": env.str("WAVECOM_FLOWER_PASSWORD", None, validate=is_strong),
        "flower_control": env.bool("WAVECOM_FLOWER_CONTROL", None),
        "secret_key": env.str("WAVECOM_SECRET_KEY", None, validate=is_strong),
        "oidc_issuer": env.str("WAVECOM_OIDC_ISSUER", None, validate=is_issuer),
        "oidc_client_id": env.str("WAVECOM_OIDC_CLIENT_ID", None),
        "oidc_client_secret": env.str("WAVECOM_OIDC_CLIENT_SECRET", None),
        "oidc_scopes": parts(env.str("WAVECOM_OIDC_SCOPES", None, validate=are_scopes)),
        "oidc_roles": role_groups(env.str("WAVECOM_OIDC_ROLES", None, validate=are_role_groups)),
        "oidc_roles_claim": env.str("WAVECOM_OIDC_ROLES_CLAIM", None),
        "oidc_name_claim": env.str("WAVECOM_OIDC_NAME_CLAIM", None),
        "oidc_ca_file": env.path("WAVECOM_OIDC_CA_FILE", None, validate=is_file),
        "oidc_label": env.str("WAVECOM_OIDC_LABEL", None, validate=validate.Length(max=40)),
        "password_sign_in": env.bool("WAVECOM_PASSWORD_SIGN_IN", None),
        "session_idle_minutes": env.int("WAVECOM_SESSION_IDLE_MINUTES", None, validate=between(1, 1440, "minutes")),
        "session_hours": env.int("WAVECOM_SESSION_HOURS", None, validate=between(1, 168, "hours")),
        "web_workers": env.int("WAVECOM_WEB_WORKERS", None, validate=count),
        "web_threads": env.int("WAVECOM_WEB_THREADS", None, validate=count),
        "web_connections": env.int("WAVECOM_WEB_CONNECTIONS", None, validate=between(64, 65_536)),
        "workers": None if workers in (None, AUTOMATIC) else int(workers),
        "workers_follow_load": True if workers == AUTOMATIC else None,
        "workers_min": env.int("WAVECOM_WORKERS_MIN", None, validate=count),
        "workers_max": env.int("WAVECOM_WORKERS_MAX", None, validate=count),
        "drain_seconds": env.int("WAVECOM_DRAIN_SECONDS", None, validate=whole_seconds),
        "scale_down_seconds": env.int("WAVECOM_SCALE_DOWN_SECONDS", None, validate=whole_seconds),
        "worker_concurrency": env.int("WAVECOM_WORKER_CONCURRENCY", None, validate=count),
        "template_review": env.bool("WAVECOM_TEMPLATE_REVIEW", None),
        "campaign_approval_rows": env.int("WAVECOM_CAMPAIGN_APPROVAL_ROWS", None, validate=between(1, 1_000_000)),
        "campaign_lane_seconds": env.int("WAVECOM_CAMPAIGN_LANE_SECONDS", None, validate=whole_seconds),
        "client_templates": env.int("WAVECOM_CLIENT_TEMPLATES", None, validate=between(1, 100_000)),
        "template_versions": env.int("WAVECOM_TEMPLATE_VERSIONS", None, validate=between(1, 1_000_000)),
        "client_files_mib": env.int("WAVECOM_CLIENT_FILES_MIB", None, validate=between(1, 1_048_576, "MiB")),
        "attachment_memory_mib": env.int("WAVECOM_ATTACHMENT_MEMORY_MIB", None, validate=between(1, 65_536, "MiB")),
        "worker_niceness": env.int("WAVECOM_WORKER_NICENESS", None, validate=between(0, 19)),
        "region": env.str("WAVECOM_REGION", None, validate=is_region),
        "region_takeover_seconds": env.int(
            "WAVECOM_REGION_TAKEOVER_SECONDS", None, validate=between(10, 86_400, "whole seconds")
        ),
        "queue_partitions": env.int("WAVECOM_QUEUE_PARTITIONS", None, validate=between(1, MOST_PARTITIONS)),
        "fast_paths": env.bool("WAVECOM_FAST_PATHS", None),
        "max_body_bytes": env.int(
            "WAVECOM_MAX_BODY_BYTES",
            None,
            # A job must fit into one MongoDB document of 16 MiB, with everything that is not the body.
            validate=between(1024, 15 * 1024 * 1024, "bytes"),
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
        "keyword_languages": parts(env.str("WAVECOM_KEYWORD_LANGUAGES", None, validate=are_languages)),
        "stop_words": parts(env.str("WAVECOM_STOP_WORDS", None, validate=are_words)),
        "start_words": parts(env.str("WAVECOM_START_WORDS", None, validate=are_words)),
        "help_words": parts(env.str("WAVECOM_HELP_WORDS", None, validate=are_words)),
        "help_texts": help_texts(env.str("WAVECOM_HELP_TEXTS", None, validate=are_help_texts)),
        "unsubscribe_keys": parts(env.str("WAVECOM_UNSUBSCRIBE_KEYS", None, validate=are_strong)),
        "callback_keys": parts(env.str("WAVECOM_CALLBACK_KEYS", None, validate=are_strong)),
        "callback_private_hosts": parts(env.str("WAVECOM_CALLBACK_PRIVATE_HOSTS", None, validate=are_single_hosts)),
        "public_url": base_url(env.str("WAVECOM_PUBLIC_URL", None, validate=is_base_url)),
        "allowed_hosts": parts(env.str("WAVECOM_ALLOWED_HOSTS", None, validate=are_hosts)),
        "cors_origins": parts(env.str("WAVECOM_CORS_ORIGINS", None, validate=are_origins)),
        "max_requests_in_flight": env.int("WAVECOM_MAX_REQUESTS_IN_FLIGHT", None, validate=count),
        "key_rate_per_second": env.float(
            "WAVECOM_KEY_RATE_PER_SECOND", None, validate=between(0.01, 1_000_000, "a number")
        ),
        "key_daily_quota": env.int("WAVECOM_KEY_DAILY_QUOTA", None, validate=between(1, 10**12)),
        "adjust_weights": env.bool("WAVECOM_ADJUST_WEIGHTS", None),
        "receipt_thresholds": _receipt_thresholds(env),
        "retry_base_seconds": env.float("WAVECOM_RETRY_BASE_SECONDS", None, validate=seconds),
        "max_attempts": env.int("WAVECOM_MAX_ATTEMPTS", None, validate=between(1, 20)),
        "retry_cap_seconds": env.float("WAVECOM_RETRY_CAP_SECONDS", None, validate=seconds),
        "traces_url": env.str("WAVECOM_TRACES_URL", None, validate=address("http://", "https://")),
        "traces_headers": headers(env.str("WAVECOM_TRACES_HEADERS", None, validate=are_headers)),
        "traces_ratio": env.float("WAVECOM_TRACES_RATIO", None, validate=between(0, 1, "a share")),
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
    if problems := [
        *_unused_tls_files(settings.amqp),
        *_too_short_window(settings.receipt_thresholds),
        *_sign_on_problems(settings),
    ]:
        raise SettingsError(problems)
    return settings


def _receipt_thresholds(env: Env) -> ReceiptThresholds:
    share = between(0.01, 1, "a share")
    window = between(60, LONGEST_WINDOW_SECONDS, "whole seconds")
    given: dict[str, Any] = {
        "slow_after_seconds": env.int(
            "WAVECOM_RECEIPT_SLOW_SECONDS", None, validate=between(1, 3_000, "whole seconds")
        ),
        "slow_share": env.float("WAVECOM_RECEIPT_SLOW_SHARE", None, validate=share),
        "bad_share": env.float("WAVECOM_RECEIPT_BAD_SHARE", None, validate=share),
        "window_seconds": env.int("WAVECOM_RECEIPT_WINDOW_SECONDS", None, validate=window),
        "least_messages": env.int("WAVECOM_RECEIPT_LEAST_MESSAGES", None, validate=between(1, 1_000_000)),
    }
    return ReceiptThresholds(**{name: value for name, value in given.items() if value is not None})


def _too_short_window(thresholds: ReceiptThresholds) -> list[Problem]:
    """What must fit together for a message to be seen to miss its receipt."""
    shortest = thresholds.shortest_window_seconds
    reason = f"must be three minutes longer than WAVECOM_RECEIPT_SLOW_SECONDS, {shortest} or more: messages that miss"
    problem = Problem("WAVECOM_RECEIPT_WINDOW_SECONDS", f"{reason} their receipts would not be seen")
    return [] if thresholds.window_seconds >= shortest else [problem]


def _sign_on_problems(settings: Settings) -> list[Problem]:
    """What must be set together for anybody to get in, and by no other way than is meant."""
    if settings.oidc_issuer is None:
        if settings.password_sign_in:
            return []
        reason = "leaves people no way in: set WAVECOM_OIDC_ISSUER too, or take this away"
        return [Problem("WAVECOM_PASSWORD_SIGN_IN", reason)]
    problems = []
    if not settings.oidc_client_id:
        reason = "is missing: the name under which WAVECOM_OIDC_ISSUER knows WaveCom"
        problems.append(Problem("WAVECOM_OIDC_CLIENT_ID", reason))
    if not settings.oidc_roles:
        reason = 'is missing: which groups have which role, such as {"admin": ["notify-admins"]}; nobody else is let in'
        problems.append(Problem("WAVECOM_OIDC_ROLES", reason))
    if settings.operator_password is not None and not settings.password_sign_in:
        reason = "is a password, and WAVECOM_PASSWORD_SIGN_IN takes none: take one of the two away"
        problems.append(Problem("WAVECOM_OPERATOR_PASSWORD", reason))
    return problems


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
