"""As whom a client may send, and whether its mails may command the relay that they go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wavecom.core.lanes import Channel
from wavecom.errors import Problem

#: Headers by which mails command the services that relay them: other recipients, suppression off, templates, keys of
#: other accounts. From the documentation of each, as of 2026-11.
RELAY_COMMANDS = (
    "x-alidm-",  # Alibaba DirectMail
    "x-apiheader",  # Netcore (Pepipost)
    "x-elasticemail-",
    "x-greenarrow-",
    "x-mailersend-",
    "x-mailgun-",
    "x-mailin-",  # Brevo (Sendinblue)
    "x-mailjet-",
    "x-mailpace-",
    "x-mandrill-",
    "x-mc-",  # Mailchimp Transactional
    "x-mj-",  # Mailjet
    "x-ms-acsemail-",  # Azure Communication Services
    "x-ms-exchange-",
    "x-msys-",  # SparkPost
    "x-mt-",  # Mailtrap
    "x-pm-",  # Postmark
    "x-pmta-",  # PowerMTA, and the next four
    "x-virtual-mta",
    "x-vmta",
    "x-envid",
    "x-job",
    "x-postal-",
    "x-postmark-",
    "x-sendgrid-",
    "x-ses-",  # Amazon SES
    "x-sg-",  # SendGrid
    "x-sib-",  # Brevo
    "x-smtp2go-",
    "x-smtpapi",  # SendGrid
    "x-smtpcom-",
    "x-sparkpost-",
    "x-xs",  # SocketLabs
)


@dataclass(frozen=True, slots=True)
class SenderPolicy:
    """What one client may say about itself. The default: any sender that its provider takes, no commands to relays."""

    #: Addresses, domains (``bank.example``) and domains with all below them (``*.bank.example``), in lower case; None:
    #: any.
    email: frozenset[str] | None = None
    #: Sender ids and numbers in lower case; None: any.
    sms: frozenset[str] | None = None
    may_command_relays: bool = False

    def problems(self, channel: Channel, payload: Mapping[str, Any]) -> list[Problem]:
        """What in a notification this does not allow. A sender that is not named is the provider's own: allowed."""
        if channel is Channel.EMAIL:
            return self._of_email(payload)
        if channel is Channel.SMS and self.sms is not None:
            sender = payload.get("senderId")
            if sender is not None and sender.lower() not in self.sms:
                return [_refused("/payload/senderId", "sender id", "--sms", self.sms)]
        return []

    def _of_email(self, payload: Mapping[str, Any]) -> list[Problem]:
        found: list[Problem] = []
        sender = payload.get("from")
        if sender is not None and self.email is not None:
            is_object = isinstance(sender, Mapping)
            address = sender["email"] if is_object else sender
            if not self._takes_address(address, self.email):
                where = "/payload/from/email" if is_object else "/payload/from"
                found.append(_refused(where, "sender", "--email", self.email))
        headers = payload.get("headers")
        if headers and not self.may_command_relays:
            found.extend(
                Problem(
                    f"/payload/headers/{name}",
                    "commands the relay that the mail goes through, which this client may not; who runs WaveCom allows "
                    "it with `wavecom keys senders --relay-headers`",
                    "not_allowed",
                )
                for name in headers
                if name.lower().startswith(RELAY_COMMANDS)
            )
        return found

    @staticmethod
    def _takes_address(address: str, allowed: frozenset[str]) -> bool:
        lower = address.lower()
        domain = lower.rpartition("@")[2]
        parents = domain.split(".")
        above = {"*." + ".".join(parents[place:]) for place in range(1, len(parents))}
        return lower in allowed or domain in allowed or not allowed.isdisjoint(above)


#: The policy of a client of whom nobody has said anything.
ANY_SENDER = SenderPolicy()


def _refused(where: str, what: str, option: str, allowed: frozenset[str]) -> Problem:
    shown = ", ".join(sorted(allowed)[:10]) or "none but the provider's own"
    return Problem(
        where,
        f"is no {what} that this client may use; allowed: {shown}. Who runs WaveCom allows more with "
        f"`wavecom keys senders {option}`",
        "not_allowed",
    )
