"""What a web process imports, and that it can build providers without what only workers have."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

#: Packages that only a worker needs: tens of megabytes and some hundred milliseconds of each web process's start.
WORKERS_ONLY = [
    "celery",
    "kombu.messaging",
    "pycurl",
    "requests",
    "smtplib",
    "wavecom.celery",
    "wavecom.providers.transport",
    "wavecom.routing",
    "wavecom.tasks",
    "wavecom.worker",
]
SETTINGS = {
    "MONGODB_URI": "mongodb://127.0.0.1:1/wavecom",
    "AMQP_URL": "amqp://127.0.0.1:1/",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def run_alone(source: str) -> list[str]:
    """The words that ``source`` prints in a process of its own, which can reach no server."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], env=SETTINGS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


#: Of extras, which cost nothing where the settings do not ask for them. OpenTelemetry's parts for metrics are not among
#: them: redis imports those itself where they are installed.
EXTRAS = ["authlib", "joserfc", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf"]


@pytest.mark.parametrize("module", ["wavecom.wsgi", "wavecom.services.web", "wavecom.services.worker"])
def test_extras_are_imported_where_they_are_set_up_and_nowhere_else(module: str) -> None:
    source = f"""
        import sys, {module}
        from wavecom.core.engine import Policy
        from wavecom.services.sign_on import identity_provider_of
        from wavecom.services.traces import tracing_of
        from wavecom.settings import Settings

        settings = Settings.from_environment()
        assert tracing_of(settings, Policy(), "web") is None
        assert identity_provider_of(settings, now=None, monotonic=None) is None
        print(*(name for name in {EXTRAS} if name in sys.modules))
        """

    assert run_alone(source) == []


@pytest.mark.parametrize("module", ["wavecom.wsgi", "wavecom.services.web"])
def test_a_web_process_imports_nothing_that_only_workers_need(module: str) -> None:
    found = run_alone(f"import sys, {module}\nprint(*(name for name in {WORKERS_ONLY} if name in sys.modules))")

    assert found == []


def test_a_web_process_can_build_its_providers_without_gate_threads_and_redis() -> None:
    found = run_alone(
        f"""
        import sys, threading
        import wavecom.services.web
        from wavecom.providers.base import ProviderDependencies
        from wavecom.providers.factory import build_providers, load_config
        from wavecom.providers.transport import make_transport

        unused = object()
        transport = make_transport()
        config = load_config(None, {{}})
        providers = build_providers(config, ProviderDependencies(transport=transport, outbox=unused, clock=unused))
        print(*providers, threading.active_count())
        for provider in providers.values():
            provider.close()
        transport.close()
        print(*(name for name in {WORKERS_ONLY} if name in sys.modules and "transport" not in name))
        """
    )

    assert found == ["sandbox", "1", "pycurl"]
