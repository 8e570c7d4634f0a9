"""Accounts that try to get at each other's things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.conftest import WebEnvironment
from wavecom.core.account import account_of
from wavecom.core.job import Job
from wavecom.core.ports import JobFilter

SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}


@dataclass(frozen=True)
class Tenant:
    """A client's live or test key, and what belongs to it."""

    client: str
    is_live: bool = True

    @property
    def account(self) -> str:
        return account_of(self.client, self.is_live)

    @property
    def key(self) -> str:
        return f"the {'live' if self.is_live else 'test'} key of {self.client}"

    @property
    def key_id(self) -> str:
        return f"key-of-{self.client}-{self.is_live}"

    @property
    def secret(self) -> str:
        """Stands in every job of this account; who sees it has seen too much."""
        return f"secret-of-{self.client}-{self.is_live}"


ACME, GLOBEX, ACME_TEST = Tenant("acme"), Tenant("globex"), Tenant("acme", is_live=False)


@dataclass(frozen=True)
class Tenants:
    """Accounts with jobs in every status, each of which somebody else tries to get at."""

    environment: WebEnvironment
    jobs: dict[str, list[Job]]

    def api(self, tenant: Tenant) -> FlaskClient:
        return self.environment.client(tenant.key)

    def everything_but(self, owner: Tenant) -> dict[str, object]:
        """All that is stored of others, to be compared."""
        jobs = [job for job in self.environment.jobs.search(JobFilter(), 1000).jobs if job.client != owner.account]
        keys = [record for record in self.environment.keys.of_client(None) if record.key_id != owner.key_id]
        return {job.job_id: self.environment.jobs.get(job.job_id) for job in jobs} | {key.key_id: key for key in keys}


#: Tries something at the things of an account; answers what it was answered.
Attempt = Callable[[FlaskClient, Tenants, Tenant], list[TestResponse]]
