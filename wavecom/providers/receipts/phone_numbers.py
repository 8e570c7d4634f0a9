"""Phone numbers as providers write them in receipts and in what people send to us."""

from __future__ import annotations

import re
from typing import Final

#: No country's code begins with a zero (ITU-T E.164): 00 is what is dialled before it, one zero a number without it.
_NUMBER: Final = re.compile(r"(?:\+|00)?([1-9][0-9]{1,14})")


def e164(text: str) -> str | None:
    """The form in which recipients are stored: ``+447700900123``, also of the same with ``00`` or nothing for the plus.

    None for anything else, such as a name, or a number without its country.
    """
    found = _NUMBER.fullmatch(text.strip())
    return f"+{found[1]}" if found else None
