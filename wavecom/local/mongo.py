"""A private MongoDB, or a server that speaks its protocol."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.server import PrivateServer, not_installed

_REMEDY = (
    "Install MongoDB (mongod on PATH) or the extra with the embedded server (pip install 'wavecom[local]'), "
    "or set MONGODB_URI to a server of yours."
)


class PrivateMongo(PrivateServer):
    """The first there is of ``program``, ``mongod``, ``secantusd-rs`` and ``secantusd-py`` (``find_program``).

    The last two are beta builds of SecantusDB (GPL-2.0): separate processes, for one machine. Production takes MongoDB.
    """

    name = "MongoDB"
    _port = 0

    def __init__(
        self,
        home: Path,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        program: Path | None = None,
        tools: Path | None = None,
    ) -> None:
        super().__init__(home, log=log, environment=environment)
        self.program = program or find_program(tools)

    @property
    def url(self) -> str:
        return self.url_of("wavecom")

    def url_of(self, database: str) -> str:
        """The address with ``database`` as its default one."""
        return f"mongodb://{LOOPBACK}:{self._port}/{database}?w=majority&journal=true&retryWrites=true"

    def answers(self) -> bool:
        if not self.is_running:
            return False
        try:
            with MongoClient[dict[str, object]](
                self.url, directConnection=True, serverSelectionTimeoutMS=500
            ) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def _environment(self) -> Mapping[str, str]:
        # Nobody here reads change streams, and the log for them costs the Rust build a sixth of its processor time.
        # What is written survives a crash by the storage engine's own log.
        return {"SECANTUS_DISABLE_OPLOG": "1", **super()._environment()}

    def _command(self) -> Sequence[str]:
        if self.program is None:
            raise not_installed(self.title, _REMEDY)
        self._port = self._port or free_ports(1)[0]
        data = self.home / "data"
        data.mkdir(exist_ok=True)
        if self.program.name == "mongod":
            place = ["--bind_ip", LOOPBACK, "--port", str(self._port), "--dbpath", str(data), "--quiet"]
            return [str(self.program), *place, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"]
        # An empty configuration of its own: it would otherwise read whichever lies around.
        configuration = self.home / "secantusd.toml"
        configuration.touch()
        place = ["--host", LOOPBACK, "--port", str(self._port), "--storage-path", str(data)]
        # Without it the Rust build loses acknowledged writes when it is killed, journal=true or not.
        durable = ["--sync-on-commit"] if self.program.name == "secantusd-rs" else []
        return [str(self.program), "--config", str(configuration), *place, *durable, "--log-level", "WARNING"]


def find_program(tools: Path | None = None) -> Path | None:
    """The server to run: on PATH, in the folder ``tools`` or beside this Python; None when there is none."""
    beside_python = Path(sys.executable).parent
    places = [
        shutil.which("mongod"),
        shutil.which("secantusd-rs"),
        shutil.which("secantusd-rs", path=tools) if tools else None,
        shutil.which("secantusd-py", path=beside_python),
    ]
    return next((Path(place) for place in places if place), None)
