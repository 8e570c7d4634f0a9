"""Runs the Lua scripts of this folder: one atomic step each, JSON in and JSON out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import orjson
import redis
from redis.commands.core import Script

from wavecom.errors import UnavailableError

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@cache
def source(name: str) -> str:
    """The text of ``<name>.lua``, with every line ``-- include: <other>`` replaced by that file's text."""
    text = resources.files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: source(match[1]), text)


class RedisScripts:
    """Runs a script by its file name. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts: dict[str, Script] = {}

    def run(self, name: str, keys: Sequence[str], arguments: object) -> Any:
        """Run ``<name>.lua`` with ``arguments`` as JSON in ARGV[1]; its reply, which the script must encode as JSON.

        Called by its hash; loaded first when the server doesn't know it (new, restarted or flushed). Raises
        ``UnavailableError`` when Redis is away, too slow, or refuses.
        """
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self._client.register_script(source(name))
        try:
            return orjson.loads(script(keys, [orjson.dumps(arguments)]))
        except redis.RedisError as error:
            raise UnavailableError(f"Redis can't be used now ({type(error).__name__}: {error})") from error
