"""Sources of templates as JSON, read with every problem that they have, and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.lanes import Channel
from wavecom.core.templates import locales
from wavecom.core.templates.formatting import is_known_locale
from wavecom.core.templates.model import Contents, TemplateKind, TemplateSource
from wavecom.core.templates.variables import (
    ITEMS_DEFAULT_LIMIT,
    TEXT_DEFAULT_LIMIT,
    Variable,
    VariableType,
    declaration_problems,
)
from wavecom.errors import Problem

LOCALES_LIMIT: Final = 50
#: Names of a declaration's parts → their types.
_PARTS: Final[Mapping[str, type]] = {
    "type": str,
    "example": object,
    "required": bool,
    "description": str,
    "maxLength": int,
    "maxItems": int,
    "items": Mapping,
    "fields": Mapping,
}
_TYPE_NAMES: Final = {str: "a text", bool: "true or false", int: "a whole number", Mapping: "an object"}
_KEYS: Final = ("kind", "defaultLocale", "variables", "contents")


def read_source(data: Mapping[str, Any]) -> tuple[TemplateSource | None, list[Problem]]:
    """The source, or None with what is wrong. ``data`` has ``contents``, and may have ``kind``, ``defaultLocale`` and
    ``variables``; anything else in it is no affair of the source."""
    problems: list[Problem] = []
    kinds = [each.value for each in TemplateKind]
    kind = data.get("kind", TemplateKind.MESSAGE.value)
    if kind not in kinds:
        problems.append(Problem("/kind", f"must be one of {', '.join(kinds)}", "invalid"))
        kind = TemplateKind.MESSAGE.value
    default = _locale(data.get("defaultLocale", "en"), "/defaultLocale", problems) or "en"
    variables = _variables(data.get("variables", {}), "/variables", problems)
    contents = _contents(data.get("contents"), TemplateKind(kind), default, problems)
    if not problems:
        problems.extend(declaration_problems(variables))
    if problems:
        return None, problems
    return TemplateSource(TemplateKind(kind), default, variables, contents), []


def source_json(source: TemplateSource) -> dict[str, Any]:
    """The source as ``read_source`` takes it."""
    return {
        "kind": source.kind.value,
        "defaultLocale": source.default_locale,
        "variables": {name: _declaration(each) for name, each in source.variables.items()},
        "contents": source.contents,
    }


def _declaration(variable: Variable) -> dict[str, Any]:
    made: dict[str, Any] = {"type": variable.type.value}
    if variable.example is not None:
        made["example"] = variable.example
    if not variable.is_required:
        made["required"] = False
    if variable.description:
        made["description"] = variable.description
    if variable.max_length != TEXT_DEFAULT_LIMIT:
        made["maxLength"] = variable.max_length
    if variable.max_items != ITEMS_DEFAULT_LIMIT:
        made["maxItems"] = variable.max_items
    if variable.items is not None:
        made["items"] = _declaration(variable.items)
    if variable.fields:
        made["fields"] = {name: _declaration(each) for name, each in variable.fields.items()}
    return made


def _locale(given: Any, where: str, problems: list[Problem]) -> str | None:
    tag = locales.canonical(given) if isinstance(given, str) else None
    if tag is None or not is_known_locale(tag):
        problems.append(Problem(where, f"must be {locales.LOCALE_RULE}", "invalid"))
        return None
    return tag


def _variables(given: Any, where: str, problems: list[Problem]) -> dict[str, Variable]:
    if not isinstance(given, Mapping):
        problems.append(Problem(where, "must be an object: the name of each variable, and what it is", "wrong_type"))
        return {}
    found = {str(name): _variable(each, f"{where}/{name}", problems) for name, each in given.items()}
    return {name: each for name, each in found.items() if each is not None}


def _variable(given: Any, where: str, problems: list[Problem]) -> Variable | None:
    if not isinstance(given, Mapping):
        problems.append(Problem(where, 'must be an object, such as {"type": "text", "example": "Amina"}', "wrong_type"))
        return None
    before = len(problems)
    for name, value in given.items():
        if name not in _PARTS:
            known = ", ".join(_PARTS)
            problems.append(Problem(f"{where}/{name}", f"is not known; there are: {known}", "unknown_field"))
        elif not isinstance(value, _PARTS[name]) or (_PARTS[name] is int and isinstance(value, bool)):
            must = _TYPE_NAMES.get(_PARTS[name], "given")
            problems.append(Problem(f"{where}/{name}", f"must be {must}", "wrong_type"))
    types = [each.value for each in VariableType]
    if given.get("type") not in types:
        problems.append(Problem(f"{where}/type", f"must be one of {', '.join(types)}", "invalid"))
    if len(problems) > before:
        return None
    inner = given.get("items")
    return Variable(
        VariableType(given["type"]),
        given.get("example"),
        given.get("required", True),
        given.get("description", ""),
        given.get("maxLength", TEXT_DEFAULT_LIMIT),
        given.get("maxItems", ITEMS_DEFAULT_LIMIT),
        None if inner is None else _variable(inner, f"{where}/items", problems),
        _variables(given.get("fields", {}), f"{where}/fields", problems),
    )


def _contents(given: Any, kind: TemplateKind, default: str, problems: list[Problem]) -> Contents:
    if not isinstance(given, Mapping) or not given:
        must = 'must be an object of locales, such as {"en": {"sms": {"text": "Hello {{ name }}"}}}'
        problems.append(Problem("/contents", must, "required" if given is None else "wrong_type"))
        return {}
    if len(given) > LOCALES_LIMIT:
        problems.append(Problem("/contents", f"must have at most {LOCALES_LIMIT} locales", "too_many"))
        return {}
    allowed = [each.value for each in Channel] if kind is TemplateKind.MESSAGE else ["html", "text"]
    must_be: type = Mapping if kind is TemplateKind.MESSAGE else str
    made: dict[str, Mapping[str, Any]] = {}
    for tag, parts in given.items():
        where = f"/contents/{tag}"
        locale = _locale(tag, where, problems)
        if not isinstance(parts, Mapping) or not parts:
            problems.append(Problem(where, f"must be an object with {' or '.join(allowed)}", "wrong_type"))
            continue
        for name, part in parts.items():
            if name not in allowed:
                text = f"is not known; there are: {', '.join(allowed)}"
                problems.append(Problem(f"{where}/{name}", text, "unknown_field"))
            elif not isinstance(part, must_be):
                must = "an object: the payload of this type" if must_be is Mapping else "a text"
                problems.append(Problem(f"{where}/{name}", f"must be {must}", "wrong_type"))
        if locale is not None:
            made[locale] = parts
    if default not in made and not problems:
        problems.append(Problem("/contents", f"must have the default locale, {default}", "required"))
    return made
