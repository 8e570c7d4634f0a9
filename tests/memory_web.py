"""The web app over memory, for a real HTTP server: how the two hold together. It has a KEY of its own, for acme."""

from __future__ import annotations

import os

from tests.unit.web.conftest import make_environment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.observability import configure_logging
from wavecom.settings import Settings

configure_logging("warning", "web")
_environment = make_environment(
    Settings.from_environment(os.environ | {"WAVECOM_SECRET_KEY": "m3Tq8WzXr1LbV6nKc9HsYp2JdGaEuR7f"})
)
_environment.keys.add(
    KeyRecord(
        key_id="given",
        hash=hash_of(os.environ["WAVECOM_API_KEY"]),
        client="acme",
        scopes=frozenset(KeyScope),
        is_live=True,
        created_at=_environment.clock.now(),
    )
)
app = _environment.app
