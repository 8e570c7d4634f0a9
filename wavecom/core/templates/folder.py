"""A template as files, for those who keep theirs in git; and back.

::

    order-shipped/
        template.json            kind, defaultLocale, variables: all but the contents
        en/email.html            email.txt and email.subject.txt likewise: html, text and subject of its payload
        en/email.json            what else its payload has, and its layout
        en/sms.txt               a text message
        en/push.title.txt        push.txt is its body, push.json what else it has
        de/sms.txt

Of layouts and partials, ``en/part.html`` and ``en/part.txt``. The last line end belongs to the file, not to the text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.lanes import Channel
from wavecom.core.templates import locales
from wavecom.core.templates.model import TemplateKind
from wavecom.errors import Problem

#: The file that says what a template is.
HEAD: Final = "template.json"
_PART: Final = "part"
#: Channel → file name's end → field of the payload.
_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    Channel.EMAIL.value: {"subject.txt": "subject", "html": "html", "txt": "text"},
    Channel.SMS.value: {"txt": "text"},
    Channel.PUSH.value: {"title.txt": "title", "txt": "body"},
    _PART: {"html": "html", "txt": "text"},
}


def files_of(source: Mapping[str, Any]) -> dict[str, str]:
    """Path within the template's folder → text, of a source as JSON."""
    head = {name: source[name] for name in ("kind", "defaultLocale", "variables") if name in source}
    files = {HEAD: _dumped(head)}
    is_message = source.get("kind", TemplateKind.MESSAGE.value) == TemplateKind.MESSAGE.value
    for locale, contents in source["contents"].items():
        for channel, payload in contents.items() if is_message else [(_PART, contents)]:
            rest = dict(payload)
            for end, field in _FIELDS[channel].items():
                if isinstance(rest.get(field), str):
                    files[f"{locale}/{channel}.{end}"] = rest.pop(field) + "\n"
            if rest:
                files[f"{locale}/{channel}.json"] = _dumped(rest)
    return files


def source_of(files: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """The source as JSON, and what is wrong with the files: each problem with the path of its file."""
    problems: list[Problem] = []
    source: dict[str, Any] = _loaded(files.get(HEAD, ""), HEAD, problems)
    contents: dict[str, Any] = {}
    is_message = source.get("kind", TemplateKind.MESSAGE.value) == TemplateKind.MESSAGE.value
    # The JSON file of a channel first: what has a file of its own counts.
    for path, text in sorted(files.items(), key=lambda each: (not each[0].endswith(".json"), each[0])):
        if path == HEAD:
            continue
        locale, _, name = path.partition("/")
        channel, _, end = name.partition(".")
        field = _FIELDS.get(channel, {}).get(end)
        if not is_file_of_template(path) or (channel != _PART) != is_message:
            problems.append(Problem(path, "is no file of a template; see `wavecom templates --help`", "unknown_field"))
            continue
        at = contents.setdefault(locale, {})
        payload = at if channel == _PART else at.setdefault(channel, {})
        if field is None:
            payload |= _loaded(text, path, problems)
        else:
            payload[field] = text.removesuffix("\n")
    return source | {"contents": contents}, problems


def is_file_of_template(path: str) -> bool:
    """Whether a file of this path, within a template's folder, can be a part of the template."""
    locale, _, name = path.partition("/")
    channel, _, end = name.partition(".")
    is_known = end in _FIELDS.get(channel, {}) or (end == "json" and channel in _FIELDS and channel != _PART)
    return path == HEAD or (is_known and locales.canonical(locale) is not None)


def file_of(pointer: str, files: Mapping[str, str]) -> str:
    """The path of the file in which a JSON pointer into the source leads; the head's for any other."""
    parts = pointer.split("/")[1:]
    if len(parts) < 3 or parts[0] != "contents":
        return HEAD
    locale, channel = parts[1], parts[2]
    fields = parts[3:]
    if channel not in _FIELDS:
        channel, fields = _PART, parts[2:]
    for end, field in _FIELDS[channel].items():
        path = f"{locale}/{channel}.{end}"
        if path in files and (not fields or fields[0] == field):
            return path
    return f"{locale}/{channel}.json"


def _dumped(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _loaded(text: str, path: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        problems.append(Problem(path, "is missing" if not text else f"is no JSON: {error}", "invalid"))
        return {}
    if not isinstance(found, dict):
        problems.append(Problem(path, "must hold a JSON object", "wrong_type"))
        return {}
    return found
