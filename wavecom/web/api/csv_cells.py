"""Cells of CSV that no program which opens the file as a table computes."""

from __future__ import annotations

import re
from typing import Final

#: Spreadsheets take what begins with one of these signs, the last four of full width, for a formula
#: (https://owasp.org/www-community/attacks/CSV_Injection). What has quotes before it already gets one more, so that an
#: import finds what was there.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def escaped(value: str) -> str:
    """``value``, with a quote before what would be taken for a formula."""
    return f"'{value}" if _FORMULA.match(value) else value


def unescaped(value: str) -> str:
    """The reverse of ``escaped``."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value
