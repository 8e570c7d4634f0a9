"""A real mail server (aiosmtpd) that keeps what it is given."""

from __future__ import annotations

import socket
import ssl
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Mailbox:
    """aiosmtpd's handler: keeps what it accepts; refuses by the recipient's name."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        replies = {"nobody": "550 5.1.1 nobody@example.org: no such user", "busy": "451 4.3.0 try again later"}
        reply = replies.get(address.partition("@")[0])
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return "250 2.0.0 OK"

    def mail(self) -> EmailMessage:
        content = self.envelopes[-1].original_content
        assert isinstance(content, bytes)
        parsed = BytesParser(policy=policy.default).parsebytes(content)
        assert isinstance(parsed, EmailMessage)
        return parsed


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"wave", b"s3cret")
    return AuthResult(success=is_right, handled=False)


class ImplicitTlsController(Controller):
    """aiosmtpd wakes its server by a first connection, and can't make a client of a context for servers."""

    def _trigger_server(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.port)) as raw, context.wrap_socket(raw) as sock:
            sock.recv(1024)
