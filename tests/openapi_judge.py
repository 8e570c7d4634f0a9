"""Whether a request is what a provider's own OpenAPI file describes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openapi_schema_validator import OAS30Validator

from tests.provider_descriptions import description_of
from wavecom.providers.transport import Request

#: Keywords whose parts may each allow names of their own.
_COMBINED = {"allOf", "anyOf", "oneOf", "not"}
_HTTP_METHODS = {"get", "post", "put", "patch", "delete"}


def faults(
    type_name: str, request: Request, *, prefix: str = "", renamed: Callable[[Any], Any] = lambda content: content
) -> list[str]:
    """What is wrong with a request by the file of ``type_name``, each as its place and the rule that it breaks.

    ``prefix`` is what the address has before the paths of the file; ``renamed`` puts the body into the file's words.
    Names that the file does not have are faults, too, though a server might take them.
    """
    description = description_of(type_name)
    path = urlsplit(request.url).path.removeprefix(prefix)
    found = _operation(description, request.method.lower(), path)
    if found is None:
        return [f"{request.method} {path}: there is no such operation"]
    operation, parameters, places = found
    headers = {name.lower(): value for name, value in request.headers.items()}
    given = {"path": places, "header": headers, "query": dict(parse_qsl(urlsplit(request.url).query))}
    wrong = []
    for parameter in parameters:
        where, name = parameter["in"], parameter["name"]
        value = given[where].get(name.lower() if where == "header" else name)
        if value is None:
            wrong += [f"{where} {name}: missing"] if parameter.get("required") else []
        else:
            wrong += _broken_rules(description, parameter.get("schema", {}), value, f"{where} {name}")
    content_type = headers.get("content-type", "").partition(";")[0]
    schemas = operation["requestBody"]["content"]
    if content_type not in schemas:
        return [*wrong, f"Content-Type {content_type}: not among {sorted(schemas)}"]
    return wrong + _broken_rules(description, schemas[content_type]["schema"], renamed(_content(request)), "body")


def _operation(
    description: Mapping[str, Any], method: str, path: str
) -> tuple[Mapping[str, Any], list[Mapping[str, Any]], dict[str, str]] | None:
    """The operation, its parameters, and what stands in the path in their places."""
    for template, item in description["paths"].items():
        # {+name} and Google's {parent} may hold slashes.
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(template))
        match = re.fullmatch(pattern, path)
        if match and method in item:
            shared = item.get("parameters", [])
            return (
                item[method],
                [_resolved(description, each) for each in [*shared, *item[method].get("parameters", [])]],
                match.groupdict(),
            )
    return None


def _resolved(description: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = given
    if "$ref" in given:
        found = description
        for name in given["$ref"].removeprefix("#/").split("/"):
            found = found[name]
    return found


def _content(request: Request) -> Any:
    if request.headers["Content-Type"].startswith("application/json"):
        return json.loads(request.body)
    return {name: _number_or_text(value) for name, value in parse_qsl(request.body.decode(), keep_blank_values=True)}


def _number_or_text(value: str) -> int | str:
    """A form has texts alone: what is a number in the file's words is one. Phone numbers are none."""
    return int(value) if value.isdecimal() and len(value) < 10 else value


def _broken_rules(description: Mapping[str, Any], schema: Mapping[str, Any], content: Any, where: str) -> list[str]:
    document = {**_closed(schema), "components": _closed(description.get("components", {}))}
    found = OAS30Validator(document).iter_errors(content)
    return [f"{where}{''.join(f'/{each}' for each in error.absolute_path)}: {error.message[:200]}" for error in found]


def _closed(schema: Any) -> Any:
    """The same, where objects that name their properties have no others."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    # An example may look like a schema, and a few of these files have one that breaks it.
    closed = {name: _closed(each) for name, each in schema.items() if name not in {"example", "examples"}}
    is_open = "additionalProperties" in schema or _COMBINED & schema.keys()
    if isinstance(schema.get("properties"), Mapping) and schema.get("type", "object") == "object" and not is_open:
        closed["additionalProperties"] = False
    return closed
