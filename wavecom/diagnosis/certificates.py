"""Certificates of servers and providers that we call by TLS, and of the files that settings name: when they end."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from wavecom.core import diagnosis
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.context import DiagnosisContext, reason_of, side_by_side
from wavecom.errors import ProvidersFileError
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.factory import load_config
from wavecom.redis_address import SentinelAddress
from wavecom.settings import Settings

_TIMEOUT_SECONDS: Final = 3.0
_STARTTLS: Final = "starttls"


@dataclass(frozen=True, slots=True)
class TlsEndpoint:
    """Something that serves TLS. ``subject`` is how people call it."""

    subject: str
    host: str
    port: int
    #: Whether the connection begins in plain SMTP.
    starts_plain: bool = False


def check_certificates(context: DiagnosisContext) -> Iterator[CheckResult]:
    """When each certificate ends. Whether it is trusted, the checks of the servers tell."""
    settings = context.settings
    files = list(certificate_files(settings))
    for subject, path, is_authority in files:
        yield _file(context, subject, path, is_authority=is_authority)
    endpoints = list(tls_endpoints(settings))
    yield from side_by_side(partial(_endpoint, context), endpoints)
    if not files and not endpoints:
        yield CheckResult("certificates", "none", Severity.OK, "no address of the settings is called by TLS")


def certificate_files(settings: Settings) -> Iterator[tuple[str, Path, bool]]:
    """Who a certificate is for, its file, and whether the file holds authorities that we trust."""
    tls = settings.amqp.tls
    redis_options = parse_qs(urlsplit(settings.redis_url).query)
    mongo_options = _mongo_uri(settings).get("options", {})
    files = [
        ("WAVECOM_AMQP_CERT_FILE", tls.certificate, False),
        ("WAVECOM_AMQP_CA_FILE", tls.ca, True),
        ("WAVECOM_OIDC_CA_FILE", settings.oidc_ca_file, True),
        ("REDIS_URL ssl_certfile", redis_options.get("ssl_certfile", [None])[0], False),
        ("REDIS_URL ssl_ca_certs", redis_options.get("ssl_ca_certs", [None])[0], True),
        ("MONGODB_URI tlsCertificateKeyFile", mongo_options.get("tlsCertificateKeyFile"), False),
        ("MONGODB_URI tlsCAFile", mongo_options.get("tlsCAFile"), True),
        *(
            (f"ca_file of provider {each.name}", getattr(each.options, "ca_file", None), True)
            for each in _providers(settings)
        ),
    ]
    yield from ((subject, Path(path), is_authority) for subject, path, is_authority in files if path is not None)


def tls_endpoints(settings: Settings) -> Iterator[TlsEndpoint]:
    """What the settings and the providers file have us call by TLS, each once."""
    if settings.amqp.is_encrypted:
        yield from (TlsEndpoint(f"RabbitMQ {node}", node.host, node.port) for node in settings.amqp.nodes)
    redis = urlsplit(settings.redis_url)
    if redis.scheme == "rediss+sentinel":
        for host, port in SentinelAddress.parse(settings.redis_url).sentinels:
            yield TlsEndpoint(f"Redis sentinel {host}", host, port)
    elif redis.scheme == "rediss" and redis.hostname:
        yield TlsEndpoint(f"Redis {redis.hostname}", redis.hostname, redis.port or 6379)
    mongo = _mongo_uri(settings)
    if mongo.get("options", {}).get("tls"):
        for host, port in mongo["nodelist"]:
            yield TlsEndpoint(f"MongoDB {host}", host, port or 27017)
    issuer = urlsplit(settings.oidc_issuer or "")
    if issuer.scheme == "https" and issuer.hostname:
        yield TlsEndpoint("identity provider", issuer.hostname, issuer.port or 443)
    for provider in _providers(settings):
        endpoint = _provider_endpoint(provider)
        if endpoint is not None:
            yield endpoint


def _providers(settings: Settings) -> list[ProviderConfig[Any]]:
    try:
        return list(load_config(settings.providers_file, settings.environment).providers.values())
    except ProvidersFileError:
        return []  # the check of the providers names every mistake


def _provider_endpoint(provider: ProviderConfig[Any]) -> TlsEndpoint | None:
    options = provider.options
    subject = f"provider {provider.name}"
    security = getattr(options, "security", None)
    if security in {_STARTTLS, "implicit"}:
        return TlsEndpoint(subject, options.host, options.port, starts_plain=security == _STARTTLS)
    url = getattr(options, "base_url", None) or getattr(options, "url", None)
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    return TlsEndpoint(subject, parts.hostname, parts.port or 443)


def _mongo_uri(settings: Settings) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = dict(parse_uri(settings.mongodb_uri))
    except (PyMongoError, OSError, ValueError):
        return {}  # the server's own check tells
    return parsed


def _file(context: DiagnosisContext, subject: str, path: Path, *, is_authority: bool) -> CheckResult:
    try:
        ends = [each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes())]
    except (OSError, ValueError) as error:
        text = f"{path} can't be read ({reason_of(error)})"
        return CheckResult("certificates", subject, Severity.ERROR, text, f"openssl x509 -in {path} -noout -dates")
    # Of a chain every one must be good; of authorities one is enough.
    return diagnosis.certificate(subject, max(ends) if is_authority else min(ends), context.now())


def _endpoint(context: DiagnosisContext, endpoint: TlsEndpoint) -> CheckResult:
    try:
        ends_at = _served_until(endpoint)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        text = f"its certificate can't be read ({reason_of(error)})"
        remedy = f"openssl s_client -connect {endpoint.host}:{endpoint.port} -brief"
        return CheckResult("certificates", endpoint.subject, Severity.WARNING, text, remedy)
    return diagnosis.certificate(endpoint.subject, ends_at, context.now())


def _served_until(endpoint: TlsEndpoint) -> datetime:
    # Nothing is trusted and nothing is sent: only the date is read, of an untrusted or ended certificate too.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if endpoint.starts_plain:
        with smtplib.SMTP(endpoint.host, endpoint.port, timeout=_TIMEOUT_SECONDS) as smtp:
            smtp.starttls(context=tls)
            encrypted: Any = smtp.sock
            return _end_of(encrypted)
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT_SECONDS) as plain,
        tls.wrap_socket(plain, server_hostname=endpoint.host) as secured,
    ):
        return _end_of(secured)


def _end_of(connection: ssl.SSLSocket) -> datetime:
    shown = connection.getpeercert(binary_form=True)
    if shown is None:
        raise ValueError("no certificate")
    return x509.load_der_x509_certificate(shown).not_valid_after_utc
