"""The result of a mail server's reply, or of an error in its place (RFC 5321, 3463, 4954, 6531)."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.providers.mail.connection import Reply
from wavecom.providers.transport.faults import FaultTable, fault_of
from wavecom.providers.transport.port import FAULT_TEXTS, TransportFault

#: What the first digit of a reply to a mail means (RFC 5321 section 4.2.1); anything else was no answer.
REPLIES: Final[Mapping[int, Outcome]] = {2: Outcome.ACCEPTED, 4: Outcome.UNAVAILABLE, 5: Outcome.REJECTED}

#: Refusals of us, not of the mail: no or wrong login, too weak a one, encryption wanted (RFC 4954 section 6), no mail
#: service here at all (RFC 7504).
ACCOUNT_REFUSALS: Final = frozenset({521, 530, 534, 535, 538})
#: The server does not know what every mail server must, or has lost its place: nothing about the mail.
NOT_UNDERSTOOD: Final = frozenset({500, 502, 503, 504})
_NOT_ABOUT_THE_SENDER: Final = ACCOUNT_REFUSALS | NOT_UNDERSTOOD
#: It does not know a parameter that it offered (RFC 1870, 6531).
PARAMETER_UNKNOWN: Final = 555
#: The server is closing down; the reply holds for this connection only.
SERVICE_ENDS: Final = 421
#: Too many mails from us in a time (Amazon SES).
THROTTLED: Final = 454
#: Refused for its size, by the server (RFC 1870) or for want of room in the mailbox (RFC 5321).
TOO_LARGE: Final = 552
#: Letters beyond ASCII in an address are not for this server after all (RFC 6531 section 3.5).
_UTF8_REFUSED: Final = frozenset({"5.6.7", "5.6.8", "5.6.9"})

_FAULTS: Final[FaultTable] = (
    (socket.gaierror, TransportFault.DNS),
    (ConnectionRefusedError, TransportFault.CONNECT),
    (ssl.SSLError, TransportFault.TLS),
    (TimeoutError, TransportFault.TIMEOUT),
    (smtplib.SMTPServerDisconnected, TransportFault.RESET),
    (ConnectionError, TransportFault.RESET),
    (smtplib.SMTPException, TransportFault.OTHER),
    (OSError, TransportFault.CONNECT),
)
#: A server that can't be reached, or not as the providers file wants it, serves nobody. One that falls silent may serve
#: the next.
_ABOUT_THE_PROVIDER: Final = frozenset(
    {TransportFault.DNS, TransportFault.CONNECT, TransportFault.TLS, TransportFault.OTHER}
)


def is_reply(code: int) -> bool:
    """Whether this is one of the replies that a mail can get."""
    return code // 100 in REPLIES


def result_of_reply(reply: Reply, *, has_sent_end: bool, is_own_sender: bool, has_utf8: bool) -> ProviderResult:
    """The result of the reply that ended a transaction; ``has_sent_end``: the whole mail was sent before it came.

    ``is_own_sender``: the message itself chose its sender, not its route or the provider. ``has_utf8``: an address has
    letters beyond ASCII.
    """
    outcome = REPLIES.get(reply.code // 100, Outcome.UNKNOWN)
    code = f"smtp_{reply.code}"
    if outcome is Outcome.ACCEPTED and has_sent_end:
        return ProviderResult(outcome, code)
    # The reply's text may repeat the recipient; its enhanced status code (RFC 3463) does not.
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?!\d)", reply.text)
    detail = found[0] if found else ""
    message = f"the {reply.step} was refused with {reply.code} {detail}".rstrip()
    if _is_unsupported(reply, detail, has_utf8):
        return ProviderResult(Outcome.UNAVAILABLE, code, message, scope=Scope.MESSAGE, is_final_here=True)
    # A sender that the message didn't choose is ours to put right, and says nothing about the recipient.
    is_our_sender = reply.step == "sender" and not is_own_sender
    is_about_us = reply.code in ACCOUNT_REFUSALS or is_our_sender
    if not has_sent_end and reply.code in NOT_UNDERSTOOD:
        is_about_us = True
    is_sender_refused = is_our_sender and outcome is Outcome.REJECTED and reply.code not in _NOT_ABOUT_THE_SENDER
    if is_about_us or (outcome is not Outcome.REJECTED and not has_sent_end):
        outcome = Outcome.UNAVAILABLE
    scope = Scope.PROVIDER if is_about_us and reply.code != SERVICE_ENDS else _scope(reply, detail, outcome)
    return ProviderResult(outcome, code, message, scope=scope, reason=Reason.SENDER if is_sender_refused else None)


def _is_unsupported(reply: Reply, detail: str, has_utf8: bool) -> bool:
    """Whether this server lacks what the mail needs: room for its size, addresses beyond ASCII, a parameter."""
    if reply.code == TOO_LARGE and not detail.startswith("5.2."):
        # At the recipient, and without a word why, it is the mailbox that has no room.
        return reply.step != "recipient" or detail == "5.3.4"
    return reply.code == PARAMETER_UNKNOWN or (has_utf8 and detail in _UTF8_REFUSED)


def _scope(reply: Reply, detail: str, outcome: Outcome) -> Scope | None:
    """Whom a reply that is not about us is about; None where several recipients must tell."""
    if outcome is Outcome.REJECTED:
        return Scope.RECIPIENT if reply.step == "recipient" else Scope.MESSAGE
    if reply.code == THROTTLED:
        return Scope.PROVIDER
    if reply.code == SERVICE_ENDS or not is_reply(reply.code):
        return None
    if detail in {"4.2.1", "4.2.2"}:
        return Scope.RECIPIENT
    # Greylisting and limits by domain; some do so only once they have seen the mail.
    if reply.step == "recipient" or detail.startswith("4.7."):
        return Scope.DESTINATION
    return None


def result_of_error(error: OSError, has_sent_end: bool) -> ProviderResult:
    """The result of a connection that broke, or could not be opened."""
    if has_sent_end:
        fault = fault_of(error, _FAULTS)
        return ProviderResult(Outcome.UNKNOWN, fault.value, f"{FAULT_TEXTS[fault]} after the mail was sent")
    if isinstance(error, smtplib.SMTPResponseException):
        message = f"the server refused the connection or the login with {error.smtp_code}"
        return ProviderResult(Outcome.UNAVAILABLE, f"smtp_{error.smtp_code}", message, scope=Scope.PROVIDER)
    fault = fault_of(error, _FAULTS)
    scope = Scope.PROVIDER if fault in _ABOUT_THE_PROVIDER else None
    if fault is TransportFault.OTHER:
        message = "the server doesn't offer the login or TLS asked for"
        return ProviderResult(Outcome.UNAVAILABLE, "smtp_unsupported", message, scope=scope)
    return ProviderResult(Outcome.UNAVAILABLE, fault.value, FAULT_TEXTS[fault], scope=scope)
