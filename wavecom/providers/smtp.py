"""``type = "smtp"``: e-mail by a mail server (RFC 5321), over connections that are kept."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Annotated, ClassVar, cast

import certifi
from marshmallow import ValidationError

from wavecom.core.job import Answer, Channel, Outcome
from wavecom.core.ports import Message
from wavecom.providers.base import BaseProvider, Surroundings, UnsendableError
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import host_name, pem_file, text, whole_number
from wavecom.providers.mail.conversation import Conversation, Envelope, Reply, Security, Server
from wavecom.providers.mail.mime import Attachment, Mail, Mailbox
from wavecom.providers.mail.pool import ConversationPool
from wavecom.providers.transport.deadline import Deadline, tls_context
from wavecom.providers.transport.faults import FaultTable, fault_of
from wavecom.providers.transport.port import FAULT_TEXTS, Fault

#: What the first digit of a reply to a mail means (RFC 5321 section 4.2.1); anything else was no answer.
REPLIES: Mapping[int, Outcome] = {2: Outcome.ACCEPTED, 4: Outcome.UNAVAILABLE, 5: Outcome.REJECTED}

#: Refusals of us, not of the mail: no or wrong login, too weak a one, encryption wanted (RFC 4954 section 6), no mail
#: service here at all (RFC 7504).
REFUSALS_OF_US = frozenset({521, 530, 534, 535, 538})

#: The server is closing down; the reply holds for this connection only.
SERVICE_ENDS = 421

#: Refused for its size, whoever sends it (RFC 1870).
TOO_LARGE = 552

FAULTS: FaultTable = (
    (socket.gaierror, Fault.DNS),
    (ConnectionRefusedError, Fault.CONNECT),
    (ssl.SSLError, Fault.TLS),
    (TimeoutError, Fault.TIMEOUT),
    (smtplib.SMTPServerDisconnected, Fault.RESET),
    (ConnectionError, Fault.RESET),
    (smtplib.SMTPException, Fault.OTHER),
    (OSError, Fault.CONNECT),
)


def _is_ascii(value: str) -> None:
    if not re.fullmatch(r"[ -~]+", value):
        raise ValidationError("must be printable ASCII")


def _is_mailbox(value: str) -> None:
    try:
        _mailbox(value)
    except UnsendableError as error:
        raise ValidationError('must be an address such as "noreply@bank.example" or "Bank <noreply@…>"') from error


def _mailbox(value: str) -> Mailbox:
    named = re.fullmatch(r"(.+?)\s*<([^<>]+)>", value)
    box = Mailbox.parse(named[2], named[1].strip('"')) if named else Mailbox.parse(value)
    str(box)  # refuses a name that can't stand in a header
    return box


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SmtpOptions:
    """The type's own keys."""

    host: Annotated[str, host_name()]
    port: Annotated[int, whole_number(1, 65535)] = 587
    #: Default: implicit on port 465, none on this machine, else starttls. Never falls back to a weaker one.
    tls: Annotated[Security | None, text(choices=("starttls", "implicit", "none"))] = None
    #: Whose certificates to trust instead of the usual authorities.
    ca_file: Annotated[str | None, pem_file()] = None
    username: Annotated[str | None, text(check=_is_ascii)] = None
    password: Annotated[str | None, text(check=_is_ascii)] = None
    #: From whom mails come that don't say it themselves. Default: wavecom@ this machine.
    sender: Annotated[str | None, text(check=_is_mailbox)] = None
    #: What this machine calls itself in its greeting. Default: its host name.
    helo_name: Annotated[str | None, host_name()] = None

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise ValidationError(f"username and password go together; add {missing}", "username")
        if self.username is not None and self.security == "none" and not _is_this_machine(self.host):
            raise ValidationError('would let the password be read on its way; use "starttls" or "implicit"', "tls")

    @property
    def security(self) -> Security:
        """``tls``, or what follows from host and port."""
        if self.tls is None and self.port == 465:
            return "implicit"
        return self.tls or ("none" if _is_this_machine(self.host) else "starttls")


class SmtpProvider(BaseProvider[SmtpOptions]):
    """Any mail server that takes mail for delivery. It doesn't recognise repetitions, though recipients' may."""

    options_class: ClassVar[type[SmtpOptions]] = SmtpOptions
    channels = frozenset({Channel.EMAIL})

    def __init__(self, config: ProviderConfig[SmtpOptions], surroundings: Surroundings) -> None:
        super().__init__(config, surroundings)
        options = self.options
        helo_name = options.helo_name or socket.gethostname()
        self._sender = _mailbox(options.sender or f"wavecom@{helo_name}")
        self._server = Server(
            host=options.host,
            port=options.port,
            security=options.security,
            helo_name=helo_name,
            tls=None if options.security == "none" else tls_context(options.ca_file or certifi.where()),
            username=options.username,
            password=options.password,
        )
        self._pool = ConversationPool()

    def send(self, message: Message) -> Answer:
        """See ``core.ports.Provider.send``."""
        deadline = Deadline(self.config.timeout_seconds)
        try:
            mail = self._mail(message)
            content = mail.as_bytes()
        except UnsendableError as error:
            return Answer(Outcome.REJECTED, "unsendable", str(error))
        except UnicodeError:
            return Answer(Outcome.REJECTED, "unsendable", "a text can't be written in UTF-8")
        envelope = Envelope(mail.sender.address, mail.recipient.address, mail.needs_utf8)
        while True:
            kept = self._pool.take()
            answer = self._try(kept, envelope, content, deadline, is_own_sender="from" in message.payload)
            if answer is None:
                continue  # the kept connection had died, and nothing was taken: another, or a new one
            if answer.outcome is Outcome.ACCEPTED:
                return replace(answer, message_id=mail.message_id)
            return answer

    def close(self) -> None:
        """Leave all conversations; those in use when they end."""
        self._pool.close()

    def _try(
        self, kept: Conversation | None, envelope: Envelope, content: bytes, deadline: Deadline, *, is_own_sender: bool
    ) -> Answer | None:
        """None when ``kept`` turned out to have ended before the mail was handed over."""
        conversation = kept
        try:
            conversation = conversation or Conversation(self._server, deadline)
            conversation.begin(deadline)
            reply = conversation.deliver(envelope, content)
        except OSError as error:  # smtplib's errors are among them
            is_past_end = conversation is not None and conversation.is_past_end
            if conversation is not None:
                conversation.close()
            return None if kept and not is_past_end else _failure(error, is_past_end)
        is_past_end = conversation.is_past_end  # once given back it is somebody else's
        if reply.code == SERVICE_ENDS or reply.code // 100 not in REPLIES or conversation.sock is None:
            conversation.close()
            if kept and not is_past_end:
                return None
        else:
            self._pool.put(conversation)
        return _meaning(reply, is_past_end, is_own_sender)

    def _mail(self, message: Message) -> Mail:
        payload = message.payload
        sender = Mailbox.parse(payload["from"]) if payload.get("from") else self._sender
        key = re.sub(r"[^A-Za-z0-9-]", ".", message.delivery_key)
        return Mail(
            sender=sender,
            recipient=Mailbox.parse(message.to),
            subject=str(payload.get("subject") or ""),
            text=_optional_text(payload.get("text")),
            html=_optional_text(payload.get("html")),
            reply_to=Mailbox.parse(payload["replyTo"]) if payload.get("replyTo") else None,
            headers=cast(Mapping[str, str], payload.get("headers") or {}),
            attachments=[
                Attachment(each["filename"], each["contentType"], each["content"])
                for each in cast(Sequence[Mapping[str, str]], payload.get("attachments") or ())
            ],
            # The same at every attempt, so that mailboxes can drop a repetition.
            message_id=f"<{key}@{sender.domain}>",
            key=key,
            date=self.surroundings.clock.now(),
        )


def _meaning(reply: Reply, is_past_end: bool, is_own_sender: bool) -> Answer:
    outcome = REPLIES.get(reply.code // 100, Outcome.UNKNOWN)
    if outcome is Outcome.ACCEPTED and is_past_end:
        return Answer(outcome, f"smtp_{reply.code}")
    # A sender that the message didn't choose is ours to put right, and says nothing about the recipient.
    is_about_us = reply.step == "sender" and not is_own_sender and reply.code != TOO_LARGE
    if reply.code in REFUSALS_OF_US or is_about_us or (outcome is not Outcome.REJECTED and not is_past_end):
        outcome = Outcome.UNAVAILABLE
    # The reply's text may repeat the recipient; its enhanced status code (RFC 3463) does not.
    detail = re.match(r"[245]\.\d{1,3}\.\d{1,3}", reply.text)
    message = f"the {reply.step} was refused with {reply.code}" + (f" {detail[0]}" if detail else "")
    return Answer(outcome, f"smtp_{reply.code}", message)


def _failure(error: OSError, is_past_end: bool) -> Answer:
    if is_past_end:
        fault = fault_of(error, FAULTS)
        return Answer(Outcome.UNKNOWN, fault.value, f"{FAULT_TEXTS[fault]} after the mail was sent")
    if isinstance(error, smtplib.SMTPResponseException):
        message = f"the server refused the connection or the login with {error.smtp_code}"
        return Answer(Outcome.UNAVAILABLE, f"smtp_{error.smtp_code}", message)
    fault = fault_of(error, FAULTS)
    if fault is Fault.OTHER:
        return Answer(Outcome.UNAVAILABLE, "smtp_unsupported", "the server doesn't offer the login or TLS asked for")
    return Answer(Outcome.UNAVAILABLE, fault.value, FAULT_TEXTS[fault])


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
