"""Who may log in to the private RabbitMQ: three users with passwords of chance, and the cookie of Erlang's own door."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wavecom import private_files

#: All that WaveCom's processes need, in its own virtual host.
APPLICATION = "wavecom"
#: Sees queues and numbers through the management API (Flower); opens no queue.
MONITOR = "monitor"
#: For people, and for tests.
ADMINISTRATOR = "administrator"

_TAGS = {APPLICATION: "", MONITOR: "monitoring", ADMINISTRATOR: "administrator"}
_FILE = "logins.json"
_COOKIE_FILE = ".erlang.cookie"
_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
#: Being let into the virtual host is what listing its queues takes.
_NOTHING = {"configure": "^$", "write": "^$", "read": "^$"}


@dataclass(frozen=True, slots=True)
class RabbitMQLogins:
    """Kept in ``folder``. ``was_open``: others may still have logins from a time when this node had no lock."""

    folder: Path
    vhost: str
    passwords: Mapping[str, str]
    was_open: bool

    @classmethod
    def kept_in(cls, folder: Path, *, was_open: bool) -> RabbitMQLogins:
        """Those made before, or new ones. ``was_open`` counts for new ones: the node has data of another's making."""
        try:
            kept: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="ascii"))
        except FileNotFoundError:
            passwords = {name: private_files.new_secret() for name in _TAGS}
            # What waits in the queues of an open node must not be lost: it stays in its virtual host.
            made = cls(folder, "/" if was_open else APPLICATION, passwords, was_open)
            # The cookie may be an old one too, or Erlang's own idea of chance.
            (folder / _COOKIE_FILE).unlink(missing_ok=True)
            made._keep()
            return made
        return cls(folder, kept["vhost"], kept["passwords"], kept["wasOpen"])

    def closed(self) -> RabbitMQLogins:
        """Nobody else can log in any more."""
        closed = replace(self, was_open=False)
        closed._keep()
        return closed

    def write_cookie(self) -> None:
        """What lets Erlang nodes, ``rabbitmqctl`` among them, command this one."""
        private_files.kept(self.folder / _COOKIE_FILE, lambda: secrets.token_hex(32))
        (self.folder / _COOKIE_FILE).chmod(0o400)

    def write_definitions(self) -> Path:
        """The file that the node reads at its start: https://www.rabbitmq.com/docs/definitions"""
        path = self.folder / "definitions.json"
        vhost = self.vhost
        definitions = {
            "users": [
                {
                    "name": name,
                    "password_hash": _hashed(password),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": _TAGS[name],
                }
                for name, password in self.passwords.items()
            ],
            "vhosts": [{"name": vhost}],
            "permissions": [
                {"user": APPLICATION, "vhost": vhost, **_EVERYTHING},
                {"user": ADMINISTRATOR, "vhost": vhost, **_EVERYTHING},
                {"user": MONITOR, "vhost": vhost, **_NOTHING},
            ],
        }
        private_files.write(path, json.dumps(definitions, indent=1))
        return path

    def _keep(self) -> None:
        kept = {"vhost": self.vhost, "passwords": dict(self.passwords), "wasOpen": self.was_open}
        private_files.write(self.folder / _FILE, json.dumps(kept, indent=1))


def _hashed(password: str) -> str:
    """https://www.rabbitmq.com/docs/passwords#computing-password-hash"""
    salt = secrets.token_bytes(4)
    return b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
