"""Registered recipients: ``RecipientStore`` on the collection ``recipients``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import InsertOne, ReplaceOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from wavecom.core.lanes import Channel
from wavecom.core.local_hours import DailyHours
from wavecom.core.registered_recipients import PushToken, RecipientKey, RegisteredRecipient
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import DUPLICATE_KEY, reading, writing

#: Fields of a recipient that stand as they are in its document, where there are any.
_PLAIN = {
    "email": "email",
    "phone": "phone",
    "locale": "locale",
    "time_zone": "timeZone",
    "stopped_at": "stoppedAt",
    "removed_at": "removedAt",
}


class MongoRecipientStore:
    """``wavecom.core.registered_recipients.RecipientStore``; safe to share between threads.

    ``new_token`` makes a text that never comes twice: by it is known afterwards whose write was the last.
    """

    def __init__(self, database: Database[Document], new_token: Callable[[], str]) -> None:
        self._recipients = durable(database["recipients"])
        self._new_token = new_token

    def find(self, account: str, recipient_ids: Collection[str]) -> dict[str, RegisteredRecipient]:
        """See the port."""
        found = self.find_each([(account, each) for each in recipient_ids])
        return {recipient_id: each for (_, recipient_id), each in found.items()}

    def find_each(self, keys: Collection[RecipientKey]) -> dict[RecipientKey, RegisteredRecipient]:
        """See the port."""
        if not keys:
            return {}
        with reading():
            found = self._recipients.find({"_id": {"$in": [_id(*key) for key in keys]}})
            return {(each["account"], each["recipientId"]): _recipient(each) for each in found}

    def save(self, recipients: Sequence[RegisteredRecipient]) -> list[bool]:
        """See the port."""
        if not recipients:
            return []
        token = self._new_token()
        documents = [_document(each) | {"writtenBy": token} for each in recipients]
        operations: list[InsertOne[Document] | ReplaceOne[Document]] = [
            InsertOne(document)
            if recipient.revision == 0
            else ReplaceOne({"_id": document["_id"], "revision": recipient.revision}, document)
            for recipient, document in zip(recipients, documents, strict=True)
        ]
        with writing():
            try:
                self._recipients.bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                is_unsafe = bool(error.details.get("writeConcernErrors"))
                # What no majority confirms may be lost again, whatever is found of it now.
                if is_unsafe or any(each["code"] != DUPLICATE_KEY for each in error.details.get("writeErrors", ())):
                    raise
            where = {"_id": {"$in": [each["_id"] for each in documents]}, "writtenBy": token}
            written = {each["_id"] for each in self._recipients.find(where, {"_id": 1})}
        return [document["_id"] in written for document in documents]

    def remove(self, recipient: RegisteredRecipient) -> bool:
        """See the port."""
        where = {"_id": _id(recipient.account, recipient.recipient_id), "revision": recipient.revision}
        with writing():
            return self._recipients.delete_one(where).deleted_count == 1

    def page(self, account: str, limit: int, after: str | None) -> Sequence[RegisteredRecipient]:
        """See the port."""
        where: Document = {"account": account, "removedAt": {"$exists": False}}
        if after is not None:
            where["recipientId"] = {"$gt": after}
        with reading():
            return [_recipient(each) for each in self._recipients.find(where).sort("recipientId").limit(limit)]

    def forget_token(self, account: str, recipient_id: str, address: str, seen_by: datetime) -> bool:
        """See the port."""
        gone = {"address": address, "seenAt": {"$lte": seen_by}}
        with writing():
            done = self._recipients.update_one(
                {"_id": _id(account, recipient_id), "pushTokens": {"$elemMatch": gone}},
                {"$pull": {"pushTokens": gone}, "$inc": {"revision": 1}},
            )
        return done.modified_count == 1

    def holders(self, account: str, addresses: Collection[str]) -> Sequence[RegisteredRecipient]:
        """See the port."""
        if not addresses:
            return []
        with reading():
            found = self._recipients.find({"account": account, "pushTokens.address": {"$in": list(addresses)}})
            return [_recipient(each) for each in found]


def _id(account: str, recipient_id: str) -> str:
    """Unique: neither holds a slash."""
    return f"{account}/{recipient_id}"


def _document(recipient: RegisteredRecipient) -> Document:
    """As the next revision."""
    document: Document = {
        "_id": _id(recipient.account, recipient.recipient_id),
        "account": recipient.account,
        "recipientId": recipient.recipient_id,
        "createdAt": recipient.created_at,
        "updatedAt": recipient.updated_at,
        "revision": recipient.revision + 1,
        "isEmailVerified": recipient.is_email_verified,
        "isPhoneVerified": recipient.is_phone_verified,
        "pushTokens": [
            {"address": each.address, "to": each.to, "seenAt": each.seen_at} for each in recipient.push_tokens
        ],
        "choices": {
            category: {channel.value: is_wanted for channel, is_wanted in channels.items()}
            for category, channels in recipient.choices.items()
        },
    }
    for attribute, name in _PLAIN.items():
        value = getattr(recipient, attribute)
        if value is not None:
            document[name] = value
    if recipient.quiet_hours is not None:
        document["quietHours"] = [recipient.quiet_hours.start, recipient.quiet_hours.end]
    return document


def _recipient(document: Mapping[str, Any]) -> RegisteredRecipient:
    quiet = document.get("quietHours")
    return RegisteredRecipient(
        account=document["account"],
        recipient_id=document["recipientId"],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        revision=document["revision"],
        is_email_verified=document["isEmailVerified"],
        is_phone_verified=document["isPhoneVerified"],
        push_tokens=tuple(PushToken(each["to"], each["seenAt"]) for each in document["pushTokens"]),
        quiet_hours=None if quiet is None else DailyHours(*quiet),
        choices={
            category: {Channel(channel): is_wanted for channel, is_wanted in channels.items()}
            for category, channels in document["choices"].items()
        },
        **{attribute: document.get(name) for attribute, name in _PLAIN.items()},
    )
