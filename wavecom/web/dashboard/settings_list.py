"""The settings in force, where each comes from, and no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Final

from flask import render_template

from wavecom.settings import Settings
from wavecom.web.dashboard.context import pages

#: Settings whose variable is not simply called like them.
_VARIABLES: Final = {
    "home": "WAVECOM_HOME",
    "amqp_url": "AMQP_URL",
    "redis_url": "REDIS_URL",
    "mongodb_uri": "MONGODB_URI",
    "providers_file": "WAVECOM_PROVIDERS",
    "workers_follow_load": "WAVECOM_WORKERS",
}
#: What is no setting but made of all of them, or of the machine.
_OTHERS: Final = frozenset({"environment", "known_variables", "worker_name"})
#: Kept out of representations, and shown here without what logs in.
_ADDRESSES: Final = frozenset({"mongodb_uri", "amqp_url", "redis_url"})
#: User and password in an address; there may be several addresses.
_CREDENTIALS: Final = re.compile(r"//[^@/\s]*@|(?<=[,;])[^@/,;\s]*@")
_SECRET: Final = re.compile(r"(password|secret|key|token)[^=&]*=[^&\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting. ``source`` is the variable that sets it; "": it has its default."""

    name: str
    variable: str
    value: str
    source: str


def settings() -> str:
    """The list."""
    return render_template("dashboard/settings.html", rows=rows_of(pages().services.settings))


def rows_of(found: Settings) -> list[SettingRow]:
    """Every setting, in the order in which they are declared."""
    return [_row(found, each) for each in fields(found) if each.name not in _OTHERS]


def _row(found: Settings, each: Field[object]) -> SettingRow:
    variable = _VARIABLES.get(each.name, f"WAVECOM_{each.name.upper()}")
    value = getattr(found, each.name)
    is_set = bool(found.environment.get(variable, "").strip())
    if each.name in _ADDRESSES:
        shown = _without_credentials(str(value))
    elif not each.repr:
        shown = "set, hidden" if value else "not set"
    else:
        shown = _shown(value)
    is_default = each.default is not MISSING and value == each.default
    return SettingRow(
        each.name.replace("_", " "), variable, shown, variable if is_set else "" if is_default else "derived"
    )


def _shown(value: object) -> str:
    match value:
        case None | "" | ():
            return "not set"
        case bool():
            return "yes" if value else "no"
        case Path():
            return str(value)
        case tuple() | list() | frozenset():
            return ", ".join(map(str, value))
        case Mapping():
            return ", ".join(map(str, value)) or "not set"
        case _:
            return _without_credentials(str(value))


def _without_credentials(text: str) -> str:
    return _SECRET.sub(r"\1=…", _CREDENTIALS.sub(lambda each: "//…@" if each[0].startswith("//") else "…@", text))
