"""A real OpenID provider (npm's oidc-provider), started by tests. ``identity_server/server.mjs`` has its people."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.npm_files import NpmProgram

PROGRAM = NpmProgram(Path(__file__).with_name("identity_server"))

CLIENT_ID = "wavecom"
CLIENT_SECRET = "a secret for tests only"


@contextmanager
def openid_provider(port: int, pages: str) -> Iterator[str]:
    """Run it at ``port`` for the pages at ``pages``; answers its issuer. Each start has new keys and no sessions.

    Raises ``OSError`` where it is not installed, ``ChildProcessError`` when it does not start.
    """
    command = PROGRAM.command("server.mjs", str(port), f"{pages}/login/sso/callback", f"{pages}/login")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise ChildProcessError("the OpenID provider did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
