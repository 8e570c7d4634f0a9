"""Categories and the look of preference pages: ``CategoryStore`` on the collection ``categories``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from wavecom.core.categories import Branding, Category, CategoryDefault, FrequencyCap
from wavecom.core.lanes import Channel
from wavecom.core.local_hours import DailyHours, SendWindow
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing


class MongoCategoryStore:
    """``wavecom.core.categories.CategoryStore``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._categories = durable(database["categories"])

    def put(self, category: Category) -> bool:
        """See the port."""
        document = _document(category)
        with writing():
            return self._categories.replace_one({"_id": document["_id"]}, document, upsert=True).matched_count == 0

    def remove(self, account: str, name: str) -> bool:
        """See the port."""
        with writing():
            return self._categories.delete_one({"_id": f"{account}/{name}"}).deleted_count == 1

    def all(self, account: str) -> Sequence[Category]:
        """See the port."""
        with reading():
            found = [_category(each) for each in self._categories.find({"account": account})]
        return sorted(found, key=lambda each: each.name)

    def branding(self, account: str) -> Branding | None:
        """See the port."""
        with reading():
            found = self._categories.find_one({"_id": _branding_id(account)})
        return None if found is None else Branding(found["name"], found["color"], found["logoText"])

    def put_branding(self, account: str, branding: Branding) -> None:
        """See the port."""
        document = {"name": branding.name, "color": branding.color, "logoText": branding.logo_text}
        with writing():
            self._categories.replace_one({"_id": _branding_id(account)}, document, upsert=True)


def _branding_id(account: str) -> str:
    """No category is called so: names of accounts hold no slash."""
    return f"/{account}"


def _document(category: Category) -> Document:
    document: Document = {
        "_id": f"{category.account}/{category.name}",
        "account": category.account,
        "name": category.name,
        "title": category.title,
        "description": category.description,
        "default": category.default.value,
        "isRequired": category.is_required,
        "channels": sorted(each.value for each in category.channels),
        "needsVerified": category.needs_verified,
        "obeysQuietHours": category.obeys_quiet_hours,
        "windows": [
            {"days": sorted(each.days), "start": each.hours.start, "end": each.hours.end} for each in category.windows
        ],
        "timeZone": category.time_zone,
    }
    if category.quiet_hours is not None:
        document["quietHours"] = [category.quiet_hours.start, category.quiet_hours.end]
    if category.cap is not None:
        document["cap"] = {"count": category.cap.count, "seconds": int(category.cap.period.total_seconds())}
    return document


def _category(document: Mapping[str, Any]) -> Category:
    quiet, cap = document.get("quietHours"), document.get("cap")
    return Category(
        account=document["account"],
        name=document["name"],
        title=document["title"],
        description=document["description"],
        default=CategoryDefault(document["default"]),
        is_required=document["isRequired"],
        channels=frozenset(Channel(each) for each in document["channels"]),
        needs_verified=document["needsVerified"],
        obeys_quiet_hours=document["obeysQuietHours"],
        quiet_hours=None if quiet is None else DailyHours(*quiet),
        windows=tuple(
            SendWindow(frozenset(each["days"]), DailyHours(each["start"], each["end"])) for each in document["windows"]
        ),
        time_zone=document["timeZone"],
        cap=None if cap is None else FrequencyCap(cap["count"], timedelta(seconds=cap["seconds"])),
    )
