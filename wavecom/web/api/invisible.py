"""Characters that nobody sees: what copying from a page, a chat or a contact list brings along."""

from __future__ import annotations

import re

#: Unicode's format characters (category Cf) that text processors and web pages wrap around what is copied: soft hyphen,
#: zero-width space and joiners; marks, embeddings, overrides and isolates of writing direction; word joiner and byte
#: order mark.
INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")


def code_point(character: str) -> str:
    """Its name as Unicode writes it, such as ``U+202D``."""
    return f"U+{ord(character):04X}"
