"""Open conversations between one mail and the next."""

from __future__ import annotations

import threading
import time
from typing import Final

from wavecom.providers.mail.conversation import Conversation

IDLE_SECONDS: Final = 30.0
LIFETIME_SECONDS: Final = 300.0
#: Servers commonly end a connection after a number of mails; leave before that.
MAILS_PER_CONVERSATION: Final = 100


class ConversationPool:
    """Conversations that nobody is using, the one last used on top. May be used by many threads."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._idle: list[Conversation] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self) -> Conversation | None:
        """One that may still be used, now the caller's; None when there is none."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                # The oldest goes first when it is worn out, so that a burst's many are let go in time.
                conversation = self._idle.pop(0 if self._is_worn(self._idle[0]) else -1)
            if not self._is_worn(conversation) and conversation.is_alive:
                return conversation
            conversation.leave()

    def put(self, conversation: Conversation) -> None:
        """Give back a conversation that ended well."""
        conversation.used_at = time.monotonic()
        with self._lock:
            if not self._is_closed and not self._is_worn(conversation):
                self._idle.append(conversation)
                return
        conversation.leave()

    def close(self) -> None:
        """Leave them all, and those in use when they are given back. May be called twice."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for conversation in idle:
            conversation.leave()

    def _is_worn(self, conversation: Conversation) -> bool:
        now = time.monotonic()
        return (
            now - conversation.used_at > self._idle_seconds
            or now - conversation.opened_at > LIFETIME_SECONDS
            or conversation.mails >= MAILS_PER_CONVERSATION
        )
