"""One connection to a mail server: smtplib's, with a deadline for each step, that knows whether a mail may be taken."""

from __future__ import annotations

import re
import select
import smtplib
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from socket import getaddrinfo
from typing import Any, Final, Literal, Protocol

from wavecom.providers.transport.deadline import Deadline, DeadlineSocket, Resolve, connect, secure
from wavecom.providers.transport.port import CONNECT_SECONDS

Security = Literal["starttls", "implicit", "none"]

#: How long QUIT may take to be written.
_QUIT_SECONDS: Final = 0.5

#: A line of a mail that begins with a dot gets another (RFC 5321 section 4.5.2).
_DOT: Final = re.compile(rb"^\.", re.MULTILINE)
_END: Final = b".\r\n"


@dataclass(frozen=True, slots=True)
class SmtpTimeouts:
    """How long each step may take (RFC 5321 section 4.5.3.2). Each is a total, however the other side drips."""

    #: To connect, and for each reply until the mail is asked for: a failure there costs nothing but the time.
    step_seconds: float
    #: To hand over the whole mail.
    data_seconds: float
    #: For the reply to the mail: the server may be looking through it, and who gives up sends it twice.
    final_reply_seconds: float

    @property
    def longest_call_seconds(self) -> float:
        """For a new connection and one mail: connect, TLS, greeting, EHLO twice, three of a login, MAIL, RCPT, DATA."""
        return 11 * self.step_seconds + self.data_seconds + self.final_reply_seconds


class MailContent(Protocol):
    """A mail in pieces, each of which begins and ends with a line."""

    @property
    def size(self) -> int:
        """How many bytes the whole content has."""
        ...

    def __iter__(self) -> Any:
        """The pieces; reading one may raise what the files' store raises."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpServer:
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
    #: Places of the message with an address that has letters beyond ASCII, such as ``to.email``.
    utf8_places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply that ended a transaction: to the sender, the recipient or the content of the mail."""

    step: Literal["sender", "recipient", "content"]
    code: int
    text: str


class UnsupportedMailError(Exception):
    """This server can't take this mail, and never will; nothing was sent. The text says why, ``code`` in a word."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class SmtpConnection(smtplib.SMTP):
    """An open connection, logged in, ready for mails one after another; for one thread at a time.

    Opening it and every method raise ``smtplib.SMTPException`` or another OSError, within the time of the step.
    """

    #: The mark that ends a mail has been sent, or a part of it: the server may have taken the mail.
    has_sent_end: bool = False

    def __init__(self, server: SmtpServer, timeouts: SmtpTimeouts, resolve: Resolve = getaddrinfo) -> None:
        super().__init__(local_hostname=server.helo_name)
        self._server = server
        self._timeouts = timeouts
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
        sock: Any = connect(host, port, Deadline(min(self._timeouts.step_seconds, CONNECT_SECONDS)), self._resolve)
        if self._server.security == "implicit":
            sock = self._secured(sock)
        sock.deadline = self._step_deadline()  # for the greeting
        return sock

    def _step_deadline(self) -> Deadline:
        return Deadline(self._timeouts.step_seconds)

    def putcmd(self, cmd: str, args: str = "") -> None:
        """As smtplib's: a command begins a step."""
        if self.sock is not None:
            self._set_deadline(self._step_deadline())
        super().putcmd(cmd, args)

    def _set_deadline(self, deadline: Deadline) -> None:
        self.sock.deadline = deadline  # type: ignore[union-attr]  # one of ours, and open

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
        sock.deadline = self._step_deadline()
        try:
            return secure(sock, self._server.tls, self._server.host)
        except OSError:
            sock.close()
            raise

    def deliver(self, envelope: Envelope, content: MailContent) -> Reply:
        """Hand over one mail. Any reply but a 2yz means that it was not taken.

        Raises ``UnsupportedMailError`` before anything is said of it, and what reading the content raises: then the
        connection is of no use any more.
        """
        self.has_sent_end = False
        self.mails += 1
        self.command_encoding = "ascii"
        size = content.size
        self._refuse(envelope, size)
        code, text = self.mail(envelope.sender, self._options(envelope, size))
        if code // 100 != 2:
            return self._refused("sender", code, text)
        code, text = self.rcpt(envelope.recipient)
        if code // 100 != 2:
            return self._refused("recipient", code, text)
        code, text = self.docmd("DATA")
        if code != 354:
            return self._refused("content", code, text)
        code, text = self._hand_over(content)
        return Reply("content", code, _text(text))

    def _refuse(self, envelope: Envelope, size: int) -> None:
        if envelope.utf8_places and not self.has_extn("smtputf8"):
            places = " and ".join(envelope.utf8_places)
            raise UnsupportedMailError(
                "smtputf8_missing", f"the server takes no letters beyond ASCII in an address (SMTPUTF8), as in {places}"
            )
        limit = self.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < size:  # 0 or nothing: no limit that it would tell (RFC 1870)
            raise UnsupportedMailError("too_large_for_server", f"the mail takes {size} bytes; the server takes {limit}")

    def _options(self, envelope: Envelope, size: int) -> list[str]:
        options = [f"SIZE={size}"] if self.has_extn("size") else []
        if envelope.utf8_places:
            # Addresses in its header are not in 7 bits then; servers with SMTPUTF8 offer this too (RFC 6531).
            options += (["BODY=8BITMIME"] if self.has_extn("8bitmime") else []) + ["SMTPUTF8"]
        return options

    def _hand_over(self, content: Iterable[bytes]) -> tuple[int, bytes]:
        self._set_deadline(Deadline(self._timeouts.data_seconds))
        for piece in content:
            self.send(_DOT.sub(b"..", piece))
        # From here on nobody can tell whether it was taken, until the server says so.
        self.has_sent_end = True
        self.send(_END)
        self._set_deadline(Deadline(self._timeouts.final_reply_seconds))
        return self.getreply()

    def _refused(self, step: Literal["sender", "recipient", "content"], code: int, text: bytes | str) -> Reply:
        if code != 421:
            with suppress(OSError):  # the reply stands, whatever becomes of the connection
                self.rset()
        return Reply(step, code, _text(text))

    @property
    def is_alive(self) -> bool:
        """Open, as far as can be seen: a server that has anything to say between mails is saying goodbye."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def close_with_quit(self) -> None:
        """Send QUIT and close, without waiting for the reply."""
        with suppress(OSError):
            if self.sock is not None:
                self._set_deadline(Deadline(_QUIT_SECONDS))
                self.send("QUIT\r\n")
        self.close()


def _text(reply: bytes | str) -> str:
    return reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
