"""Fields that a batch carries once: each item is what it says itself, laid over these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from wavecom.errors import BodyTooLargeError, Problem

COMMON: Final = "common"
#: Bytes that all items of a batch take together of what they share: written out, each has it whole.
LIMIT_BYTES: Final = 32 * 1024 * 1024
#: Objects of which an item may give a part: what both have, the item's holds. Of anything else the item's whole holds.
_LAID_OVER: Final = frozenset({"payload", "variables", "metadata"})


@dataclass(frozen=True, slots=True)
class SharedFields:
    """The fields that all items of a batch have, as they were sent."""

    fields: Mapping[str, Any]

    def check_size(self, items: int) -> None:
        """Raises ``BodyTooLargeError`` where so many items would take more than ``LIMIT_BYTES`` of these."""
        size = len(orjson.dumps(self.fields)) * items
        if size > LIMIT_BYTES:
            raise BodyTooLargeError(
                f"What the {items} items share takes {size} bytes when each has it; {LIMIT_BYTES} may be. Send fewer "
                "at once, or upload attachments and name them by their fileId."
            )

    def under(self, item: Any) -> Any:
        """The item with what it does not say itself; one that is no object as it is."""
        if type(item) is not dict:
            return item
        merged = {**self.fields, **item}
        for name in _LAID_OVER & self.fields.keys() & item.keys():
            if type(item[name]) is dict and type(self.fields[name]) is dict:
                merged[name] = {**self.fields[name], **item[name]}
        return merged

    def placed(self, problem: Problem, item: Any) -> Problem:
        """The problem by a pointer to where its value stands: in the item, or below ``/common``."""
        first, second = [*problem.where.removeprefix("/").split("/"), ""][:2]
        if type(item) is not dict or first not in self.fields:
            return problem
        is_shared = first not in item
        if first in _LAID_OVER and not is_shared and type(item[first]) is dict and type(self.fields[first]) is dict:
            is_shared = second in self.fields[first] and second not in item[first]
        return replace(problem, where=f"/{COMMON}{problem.where}") if is_shared else problem
