"""One conversation with a mail server: smtplib's, with a total deadline, and knowing when there is no way back."""

from __future__ import annotations

import select
import smtplib
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from socket import getaddrinfo
from typing import Any, Final, Literal

from wavecom.providers.transport.deadline import Deadline, DeadlineSocket, Resolve, connect, secure
from wavecom.providers.transport.port import CONNECT_SECONDS

Security = Literal["starttls", "implicit", "none"]

#: An honest end of a conversation may take this long.
_GOODBYE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mail server is and how to talk to it."""

    host: str
    port: int
    security: Security
    #: What we call ourselves.
    helo_name: str
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the server is told beside the mail itself."""

    sender: str
    recipient: str
    needs_utf8: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply that ended a transaction: to the sender, the recipient or the content of the mail."""

    step: Literal["sender", "recipient", "content"]
    code: int
    text: str


class Conversation(smtplib.SMTP):
    """An open connection, logged in, ready for mails one after another; for one thread at a time.

    Opening it and every method raise ``smtplib.SMTPException`` or another OSError, within the deadline.
    """

    #: The mark that ends a mail has been sent, or a part of it: the server may have taken the mail.
    is_past_end: bool = False

    def __init__(self, server: Server, deadline: Deadline, resolve: Resolve = getaddrinfo) -> None:
        super().__init__(local_hostname=server.helo_name)
        self._server = server
        self._deadline = deadline
        self._resolve = resolve
        self.opened_at = self.used_at = time.monotonic()
        self.mails = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        server = self._server
        code, text = self.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        self.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            self._start_tls()
        if server.username is not None:
            self.login(server.username, server.password or "")

    def _get_socket(self, host: str, port: int, timeout: Any) -> Any:
        sock = connect(host, port, self._deadline.at_most(CONNECT_SECONDS), self._resolve)
        sock.deadline = self._deadline
        return self._secured(sock) if self._server.security == "implicit" else sock

    def _start_tls(self) -> None:
        # smtplib's own would begin the handshake with the time-out of the reply before it.
        if not self.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError("STARTTLS is not offered")
        code, text = self.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPResponseException(code, text)
        self.sock = self._secured(self.sock)
        # RFC 3207 section 4.2: forget all that was said in the clear, what came early included.
        self.file = None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self.ehlo_or_helo_if_needed()

    def _secured(self, sock: Any) -> Any:
        assert isinstance(sock, DeadlineSocket)  # noqa: S101 - from _get_socket
        assert self._server.tls is not None  # noqa: S101 - given for every secured server
        try:
            return secure(sock, self._server.tls, self._server.host)
        except OSError:
            sock.close()
            raise

    def begin(self, deadline: Deadline) -> None:
        """What follows must be over by then."""
        self._deadline = deadline
        self.sock.deadline = deadline  # type: ignore[union-attr]  # one of ours, and open
        self.is_past_end = False

    def deliver(self, envelope: Envelope, content: bytes) -> Reply:
        """Hand over one mail, which ends with a line end. Any reply but a 2yz means that it was not taken."""
        self.mails += 1
        self.command_encoding = "ascii"
        if envelope.needs_utf8 and not self.has_extn("smtputf8"):
            return Reply("recipient", 550, "5.6.7")  # RFC 6531 section 3.5; the server would say it in these words
        code, text = self.mail(envelope.sender, self._options(envelope, content))
        if code // 100 != 2:
            return self._refused("sender", code, text)
        code, text = self.rcpt(envelope.recipient)
        if code // 100 != 2:
            return self._refused("recipient", code, text)
        try:
            code, text = self.data(content)
        except smtplib.SMTPDataError as error:
            return self._refused("content", error.smtp_code, error.smtp_error)
        return Reply("content", code, _text(text))

    def _options(self, envelope: Envelope, content: bytes) -> list[str]:
        options = [f"SIZE={len(content)}"] if self.has_extn("size") else []
        return [*options, "SMTPUTF8"] if envelope.needs_utf8 else options

    def _refused(self, step: Literal["sender", "recipient", "content"], code: int, text: bytes | str) -> Reply:
        if code != 421:
            with suppress(OSError):  # the reply stands, whatever becomes of the connection
                self.rset()
        return Reply(step, code, _text(text))

    def send(self, s: Any) -> None:
        """smtplib sends a mail and the mark of its end in one go; only after the latter is the outcome unknown."""
        if isinstance(s, bytes):
            super().send(s[:-3])
            self.is_past_end = True
            super().send(s[-3:])
        else:
            super().send(s)

    @property
    def is_alive(self) -> bool:
        """Open, as far as can be seen: a server that has anything to say between mails is saying goodbye."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def leave(self) -> None:
        """Say goodbye and close, without waiting for an answer."""
        with suppress(OSError):
            if self.sock is not None:
                self.begin(Deadline(_GOODBYE_SECONDS))
                self.putcmd("QUIT")
        self.close()


def _text(reply: bytes | str) -> str:
    return reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
