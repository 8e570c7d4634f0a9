"""Calls over HTTP/2 that are streams of a few connections, which their group keeps (RFC 9113 section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pycurl

from wavecom.providers.transport.connection_group import Connection, ConnectionGroup
from wavecom.providers.transport.curl_handle import CurlHandle

#: Connections of one group. A server may allow one stream at first (APNs does, until it has seen a token), and one
#: connection that hangs must not hold up all calls.
MOST_CONNECTIONS: Final = 2


class Stream(Connection):
    """A handle whose calls go over whichever of its group's connections has room for a stream."""

    def new_pool(self) -> pycurl.CurlShare | None:
        """The group's: that is what lets streams share a connection."""
        # Wait for a connection that is being made, to be a stream of it, in place of making another.
        self.handle.curl.setopt(pycurl.PIPEWAIT, True)
        return None

    @property
    def is_reusable(self) -> bool:
        """It holds no connection whose end could have been missed: libcurl looks at that before each stream."""
        return self.group.has_room_for_calls

    def take_socket(self, descriptor: int, purpose: int) -> int:
        """Called by libcurl for a socket that is to be the group's."""
        self.group.own_shared(descriptor)
        return pycurl.SOCKOPT_OK


class StreamGroup(ConnectionGroup):
    """Up to ``GROUP_SIZE`` streams at once over ``MOST_CONNECTIONS`` connections to one origin."""

    def __init__(self, origin: tuple[str, ...], watcher: Any) -> None:
        super().__init__(origin, watcher)
        self._is_retired = False
        #: Its connections' sockets; the numbers of closed ones stay among them.
        self._shared: set[int] = set()
        self.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, MOST_CONNECTIONS)

    @property
    def has_room_for_calls(self) -> bool:
        """Whether a new call may be a stream here."""
        return not self._is_retired

    @property
    def has_room(self) -> bool:
        """See ``ConnectionGroup``."""
        return not self._is_retired and super().has_room

    def new_connection(self, handle: CurlHandle) -> Connection:
        """See ``ConnectionGroup``."""
        return Stream(self, handle)

    def touched_by(self, descriptor: int) -> Sequence[Connection]:
        """Any of its calls: whose stream an answer belongs to only libcurl knows."""
        return list(self.running.values())

    def retire(self) -> None:
        """Its connections may lead nowhere any more: the calls under way end here, new ones make another group."""
        self._is_retired = True

    def own_shared(self, descriptor: int) -> None:
        """See ``ConnectionGroup``."""
        super().own_shared(descriptor)
        self._shared.add(descriptor)

    def on_resting_event(self, descriptor: int) -> None:
        """A connection without a call has nothing to say but its end, or a PING, which only libcurl could tell."""
        if descriptor in self._shared:
            self.retire()

    def sockets_of(self, connection: Connection) -> list[int]:
        """All of its sockets: any of them may hold the answer."""
        return list(self.wakeups)
