"""``type = "smtp"``: e-mail by a mail server (RFC 5321), over connections that are kept."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import certifi
from marshmallow import ValidationError

from wavecom.core.exhaustion import is_exhaustion, unclear
from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.base import BaseProvider, ProviderDependencies, UnsendableError, before_the_call
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import (
    host_name,
    is_this_machine,
    number,
    pem_file,
    secret,
    text,
    whole_number,
)
from wavecom.providers.mail.composition import mail_of, mailbox, sender_address
from wavecom.providers.mail.connection import (
    Envelope,
    Security,
    SmtpConnection,
    SmtpServer,
    SmtpTimeouts,
    UnsupportedMailError,
)
from wavecom.providers.mail.mime import Mail, MimeContent
from wavecom.providers.mail.pool import SmtpConnectionPool
from wavecom.providers.mail.replies import SERVICE_ENDS, is_reply, result_of_error, result_of_reply
from wavecom.providers.transport.deadline import tls_context
from wavecom.providers.transport.faults import lacks_descriptors
from wavecom.providers.transport.port import TransportFault


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SmtpOptions:
    """The type's own keys."""

    host: Annotated[str, host_name()]
    port: Annotated[int, whole_number(1, 65535)] = 587
    #: Default: implicit on port 465, none on this machine, else starttls. Never falls back to a weaker one.
    tls: Annotated[Security | None, text(choices=("starttls", "implicit", "none"))] = None
    #: Whose certificates to trust instead of the usual authorities.
    ca_file: Annotated[str | None, pem_file()] = None
    username: Annotated[str | None, secret()] = None
    password: Annotated[str | None, secret()] = None
    #: From whom mails come that don't say it themselves. Default: wavecom@ this machine.
    sender: Annotated[str | None, sender_address()] = None
    #: What this machine calls itself in its greeting. Default: its host name.
    helo_name: Annotated[str | None, host_name()] = None
    #: To hand over a mail, attachments and all.
    data_seconds: Annotated[float, number(0.1, 900)] = 180
    #: For the server's reply to the mail itself: RFC 5321 section 4.5.3.2.6 asks for ten minutes.
    final_reply_seconds: Annotated[float, number(0.1, 900)] = 600

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise ValidationError(f"username and password go together; add {missing}", "username")
        if self.username is not None and self.security == "none" and not is_this_machine(self.host):
            raise ValidationError('would let the password be read on its way; use "starttls" or "implicit"', "tls")

    @property
    def security(self) -> Security:
        """``tls``, or what follows from host and port."""
        if self.tls is None and self.port == 465:
            return "implicit"
        return self.tls or ("none" if is_this_machine(self.host) else "starttls")


class SmtpProvider(BaseProvider[SmtpOptions]):
    """Any mail server that takes mail for delivery. It doesn't recognise repetitions, though recipients' may."""

    options_class: ClassVar[type[SmtpOptions]] = SmtpOptions
    channels = frozenset({Channel.EMAIL})
    # Of each step until the mail is asked for: servers that greet or answer late on purpose do so by some 20 seconds.
    default_timeout_seconds = 30
    max_timeout_seconds = 300
    # A mail server that looks through what it gets is not ill.
    default_slow_seconds = 3_600
    # A call takes a thread of ours and a connection of the server's, which counts them.
    default_max_concurrency = 128
    # It may look through a mail for minutes before it says that it has it.
    is_patient = True

    def __init__(self, config: ProviderConfig[SmtpOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        options = self.options
        helo_name = options.helo_name or socket.gethostname()
        self._sender = mailbox(options.sender or f"wavecom@{helo_name}")
        self._server = SmtpServer(
            host=options.host,
            port=options.port,
            security=options.security,
            helo_name=helo_name,
            tls=None if options.security == "none" else tls_context(options.ca_file or certifi.where()),
            username=options.username,
            password=options.password,
        )
        self._timeouts = SmtpTimeouts(config.timeout_seconds, options.data_seconds, options.final_reply_seconds)
        self.longest_call_seconds = self._timeouts.longest_call_seconds
        self._pool = SmtpConnectionPool()

    def send(self, message: Message) -> ProviderResult:
        """See ``core.ports.Provider.send``."""
        try:
            with before_the_call(UnicodeError):
                mail = mail_of(message, self._sender, self.dependencies.clock.now())
                content = mail.content(on_end=message.files.handed_over)
        except UnsendableError as error:
            return ProviderResult(Outcome.REJECTED, "unsendable", str(error), scope=Scope.MESSAGE)
        except UnicodeError:
            return ProviderResult(
                Outcome.REJECTED, "unsendable", "a text can't be written in UTF-8", scope=Scope.MESSAGE
            )
        is_own_sender = message.own_sender_field is not None
        envelope = Envelope(mail.sender.address, mail.recipient.address, _utf8_places(mail, is_own_sender))
        while True:
            kept = self._pool.take()
            result = self._deliver_over(kept, envelope, content, is_own_sender=is_own_sender)
            if result is None:
                continue  # the kept connection was closed, and nothing was taken: another, or a new one
            if result.outcome is Outcome.ACCEPTED:
                return replace(result, message_id=mail.message_id)
            return result

    def close(self) -> None:
        """Close all connections; those in use when their mail ends."""
        self._pool.close()

    def _deliver_over(
        self, kept: SmtpConnection | None, envelope: Envelope, content: MimeContent, *, is_own_sender: bool
    ) -> ProviderResult | None:
        """None when ``kept`` turned out to have ended before the mail was handed over."""
        connection = kept
        try:
            connection = connection or SmtpConnection(self._server, self._timeouts)
            reply = connection.deliver(envelope, content)
        except UnsupportedMailError as error:
            assert connection is not None  # noqa: S101 - it said so
            self._pool.put(connection)
            return ProviderResult(Outcome.UNAVAILABLE, error.code, str(error), scope=Scope.MESSAGE, is_final_here=True)
        except OSError as error:  # smtplib's errors are among them
            has_sent_end = connection is not None and connection.has_sent_end
            if connection is not None:
                connection.close()
            if not has_sent_end and is_exhaustion(error):
                raise  # ours, not the server's; see the port
            if isinstance(error, socket.gaierror) and lacks_descriptors():
                # Looking up a name takes some, and does not say that it had none.
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
            # A connection that had ended says nothing; one that is silent has used up its time.
            result = result_of_error(error, has_sent_end)
            return None if kept and not has_sent_end and result.code != TransportFault.TIMEOUT.value else result
        except BaseException as error:
            has_sent_end = connection is not None and connection.has_sent_end
            if connection is not None:
                connection.close()
            if has_sent_end and isinstance(error, Exception) and is_exhaustion(error):
                return unclear(error)  # it may have been taken: that is no mail that was not begun
            # An attachment could not be read: whatever has been said of the mail, its end was not.
            raise
        has_sent_end = connection.has_sent_end  # once given back it is somebody else's
        if reply.code == SERVICE_ENDS or not is_reply(reply.code) or connection.sock is None:
            connection.close()
            if kept and not has_sent_end:
                return None
        else:
            self._pool.put(connection)
        return result_of_reply(
            reply, has_sent_end=has_sent_end, is_own_sender=is_own_sender, has_utf8=bool(envelope.utf8_places)
        )


def _utf8_places(mail: Mail, is_own_sender: bool) -> tuple[str, ...]:
    """Where an address has letters beyond ASCII, in the words of the message or the providers file."""
    boxes = {
        "to.email": [mail.recipient],
        "payload.from" if is_own_sender else "the sender of provider or route": [mail.sender],
        "payload.replyTo": mail.reply_to,
    }
    return tuple(place for place, found in boxes.items() if not all(box.address.isascii() for box in found))
