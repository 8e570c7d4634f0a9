"""A provider that takes mails by an API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.api.base import ApiOptions, ApiProvider
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.mail.composition import api_mail_of, base64_content, mailbox, sender_address, unsupported
from wavecom.providers.mail.mime import Mail
from wavecom.providers.mail.parts import MailAttachment


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MailApiOptions(ApiOptions):
    """The keys of every such type."""

    sender: Annotated[str, sender_address()]


MailApiOptionsT = TypeVar("MailApiOptionsT", bound=MailApiOptions)


class MailApiProvider(ApiProvider[MailApiOptionsT]):
    """A subclass puts the mail that ``mail_of`` makes into its API's words."""

    channels = frozenset({Channel.EMAIL})
    #: The API takes a calendar part, which is no attachment.
    takes_invitations: ClassVar[bool] = True

    def __init__(self, config: ProviderConfig[MailApiOptionsT], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self.sender = mailbox(self.options.sender)

    def mail_of(self, message: Message) -> Mail:
        """The mail that a message asks for, from ``sender`` where it names none. Raises ``UnsendableError``."""
        mail = api_mail_of(message, self.sender, self.dependencies.clock.now())
        if mail.calendar is not None and not self.takes_invitations:
            raise unsupported("payload.calendar", "is an invitation")
        return mail


def attachment_fields(attachment: MailAttachment, names: Mapping[str, str], *, id_prefix: str = "") -> dict[str, str]:
    """A file with its content in base64, read where it is stored apart. Raises as ``Files.read``.

    ``names``: the API's word for each of ``filename``, ``content_type``, ``content`` and ``content_id``, the last of
    which is there for a picture within the mail alone, with ``id_prefix`` before it.
    """
    fields = {
        names["filename"]: attachment.filename,
        names["content_type"]: attachment.content_type,
        names["content"]: base64_content(attachment),
    }
    if attachment.content_id is not None:
        fields[names["content_id"]] = id_prefix + attachment.content_id
    return fields
