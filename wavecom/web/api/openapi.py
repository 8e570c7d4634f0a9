"""The OpenAPI document: made once, at start, of what validates requests and of what stands above each view.

flask-smorest walks over the views and apispec over the marshmallow schemas; here is what they can't know: what our own
fields take, how an operation answers and fails (``declarations.py``), and the examples of every error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields, missing

from wavecom.errors import WaveComError
from wavecom.web import problems
from wavecom.web.api import declarations
from wavecom.web.api.declarations import BYTES, DeclaredErrors, DeclaredInput, DeclaredResponse, DeclaredText, Parameter
from wavecom.web.api.field_errors import FieldErrorCode
from wavecom.web.api.fields import DocumentedField, Items, Object
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.shapes import CARRIED, Json, Shape, anything, array, as_dict, enum, integer, record, text
from wavecom.web.health import OK

_BEARER = "apiKey"
_QUERY_EXAMPLE = "x-query-example"
_DESCRIPTION = """\
Send notifications by e-mail, SMS and push, follow them, act on them.

Every operation below `/api/` takes an API key in the header `Authorization: Bearer <key>`. Every error is
`application/problem+json` (RFC 9457) with a stable `code`; [all codes](/docs/errors). Every answer has the header
`X-Request-ID`: name it when you ask about a request. The guide is `docs/api.md`.
"""

_FIELD_ERROR = record(
    "FieldError",
    {
        "pointer": text("JSON pointer (RFC 6901) into the body; empty: the body itself"),
        "parameter": text("the name of a parameter of the query"),
        "header": text("the name of a header"),
        "message": text("what is wrong and how to put it right; may get better"),
        "code": enum(FieldErrorCode, "stable"),
    },
    optional={"pointer", "parameter", "header"},
)
PROBLEM = record(
    "Problem",
    {
        "type": text("the address that explains the code", format="uri-reference"),
        "title": text(),
        "status": integer(minimum=400, maximum=599),
        "detail": text("what happened and what to do"),
        "code": enum(problems.documented(), "stable"),
        "requestId": text("names this request in our logs"),
        "errors": array(_FIELD_ERROR, "every field that is wrong, at most a hundred"),
        "results": array(anything(), "of a batch: one for each item, in order"),
    },
    optional={"errors", "results"},
    description="RFC 9457 problem details.",
)
_HEALTH = record("Health", {"status": text()})
_READINESS = record(
    "Readiness",
    {
        "status": text(),
        "checks": {"type": "object", "additionalProperties": {"type": "string"}},
        "troubledProviders": integer(
            "how many are not called, or less than they should be (`GET /api/providers` says which and why); none "
            "makes the process unready"
        ),
    },
)


class _Converter(OpenAPIConverter):
    """apispec's converter of marshmallow schemas, for fields that say themselves what they take."""

    def field2property(self, field: fields.Field[Any]) -> Json:
        """The JSON Schema of one field."""
        found: Any
        match field:
            case DocumentedField():
                found = self._with_references(field.json_schema())
                found["description"] = field.must
            case Object():
                found = {**self._reference(field.schema), "description": field.must}
                if field.other is not None:
                    found = {"anyOf": [self._reference(field.schema), field.other], "description": field.must}
            case Items():
                found = {
                    "type": "array",
                    "items": self.field2property(field.inner),
                    "minItems": field.min_items,
                    "maxItems": field.max_items,
                    "description": field.must,
                }
            case _:
                raise TypeError(
                    f"The field {field!r} does not say what it takes; see fields.DocumentedField.json_schema."
                )
        if field.allow_none:
            found["type"] = [found["type"], "null"]
        if field.load_default is not missing and isinstance(field.load_default, str | int | float | bool):
            found["default"] = field.load_default
        property_: Json = found
        return property_

    def schema2jsonschema(self, schema: Schema) -> Json:
        """The JSON Schema of a whole object, with the rules between its fields."""
        if not isinstance(schema, BaseSchema):
            raise TypeError(f"The schema {schema!r} is none of ours; see schemas.base.BaseSchema.")
        variants = schema.variants()
        if not variants:
            fields_only: Any = super().schema2jsonschema
            found: Json = fields_only(schema) | self._with_references(schema.rules())
            return found
        references = {name: self._reference(variant) for name, variant in variants.items()}
        for name, variant in variants.items():
            kind = self._component(variant)["properties"]["type"]
            kind.pop("enum", None)
            kind |= {"const": name, "description": f"`{name}`"}
        return {
            "type": "object",
            "oneOf": list(references.values()),
            "discriminator": {
                "propertyName": "type",
                "mapping": {name: reference["$ref"] for name, reference in references.items()},
            },
        }

    def _reference(self, schema: Schema) -> Json:
        resolve: Any = self.resolve_nested_schema
        found: Json = resolve(schema)
        return found

    def _component(self, schema: BaseSchema) -> Json:
        components: Any = self.spec.components
        found: Json = components.schemas[_name(schema)]
        return found

    def _with_references(self, value: Any) -> Any:
        if isinstance(value, Schema):
            return self._reference(value)
        if isinstance(value, Shape):
            return Shape(value.name, self._with_references(value.schema))
        if isinstance(value, Mapping):
            return {name: self._with_references(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._with_references(each) for each in value]
        return value


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def _name(schema: Any) -> str:
    own: str = schema.component
    return own or type(schema).__name__.removesuffix("Schema")


def spec_options() -> dict[str, Any]:
    """What flask-smorest hands on to apispec."""
    return {"marshmallow_plugin": _Plugin(schema_name_resolver=_name)}


def document(spec: APISpec) -> Json:
    """The finished document of everything that was registered in ``spec``."""
    found: Json = spec.to_dict()
    found["info"]["description"] = _DESCRIPTION
    found["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
    found["servers"] = [{"url": "/"}]
    found["paths"] = _finish_paths(found["paths"]) | _health_paths()
    components = found.setdefault("components", {})
    components["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    components["headers"] = _HEADERS
    components["examples"] = {
        code: {"summary": problem_type.title, "value": problems.example(code, problem_type)}
        for code, problem_type in problems.documented().items()
    }
    shapes: dict[str, Json] = {}
    found = _with_shapes(found, shapes)
    found["components"]["schemas"] = dict(sorted((found["components"].get("schemas", {}) | shapes).items()))
    found["tags"].append({"name": "health", "description": "For whoever watches the process."})
    return found


_HEADERS: Json = {
    "X-Request-ID": {"description": "The request's id: yours where it was sane.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
}


def operation(declared: Sequence[Any], scope: str | None) -> Json:
    """How one operation is described by what was declared above its view, ``scope`` by its authenticator."""
    answers = [each for each in declared if isinstance(each, DeclaredResponse)]
    reads = [each for each in declared if isinstance(each, DeclaredInput)]
    parameters = [each for each in declared if isinstance(each, Parameter)]
    texts = [each for each in declared if isinstance(each, DeclaredText)]
    own = [error for each in declared if isinstance(each, DeclaredErrors) for error in each.classes]
    errors = [*own, *(error for read in reads for error in declarations.READING[read.location])]
    errors += [error for _ in texts for error in declarations.READING["text"]]
    errors += declarations.UNIVERSAL if scope is None else (*declarations.GUARDED, *declarations.UNIVERSAL)
    codes = {500: ["internal_error"]}
    if any(each.place == "path" for each in parameters):
        codes[404] = ["not_found"]
    described: Json = {
        "responses": {
            **{str(each.status): _success(each) for each in answers},
            **_failures(errors, codes),
        },
        "parameters": [_parameter(each) for each in parameters],
    }
    if scope is not None:
        described["security"] = [{_BEARER: [str(scope)]}]
    for each in texts:
        schema = {"type": "string"} | ({"format": "binary"} if each.media_type == BYTES else {})
        content = {each.media_type: {"schema": schema, "example": each.example}}
        described["requestBody"] = {"required": True, "description": each.description, "content": content}
    for read in reads:
        if read.location == "query":
            described[_QUERY_EXAMPLE] = read.example
            # Where generators would make a call with a place for each parameter, a new filter would break every call.
            described["x-group-parameters"] = True
    return described


def _success(answer: DeclaredResponse) -> Json:
    described: Json = {
        "description": answer.description or HTTPStatus(answer.status).phrase,
        "headers": {"X-Request-ID": _header("X-Request-ID")}
        | {name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()},
    }
    if answer.shape is not None:
        described["content"] = {answer.media_type: {"schema": as_dict(answer.shape), "example": answer.example}}
    if answer.links:
        described["links"] = {
            operation: {
                "operationId": operation,
                "parameters": {_camel(name): f"$response.body#{pointer}" for name, pointer in parameters.items()},
            }
            for operation, parameters in answer.links.items()
        }
    return described


def _failures(errors: Iterable[type[WaveComError]], codes: Mapping[int, Sequence[str]]) -> Json:
    by_status: dict[int, dict[str, str]] = {
        status: {code: problems.documented()[code].title for code in found} for status, found in codes.items()
    }
    for error in errors:
        problem_type = problems.problem_type_of(error)
        by_status.setdefault(problem_type.status, {})[error.code] = problem_type.title
    return {str(status): failure(status, by_status[status]) for status in sorted(by_status)}


def failure(status: int, titles: Mapping[str, str]) -> Json:
    """The description of one status of failure: ``titles`` by code."""
    headers = {"X-Request-ID": _header("X-Request-ID")}
    if status in {429, 503}:
        headers["Retry-After"] = _header("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _header("WWW-Authenticate")
    return {
        "description": "\n".join(f"* `{code}`: {title}" for code, title in titles.items()),
        "headers": headers,
        "content": {
            problems.MEDIA_TYPE: {
                "schema": as_dict(PROBLEM),
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in titles},
            }
        },
    }


def _header(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": _camel(parameter.name) if parameter.place == "path" else parameter.name,
        "in": parameter.place,
        "required": parameter.is_required or parameter.place == "path",
        "description": parameter.description,
        "schema": parameter.schema,
        "example": parameter.example,
    }


def _health_paths() -> Json:
    def path(name: str, summary: str, statuses: Mapping[int, Json], shape: Shape) -> Json:
        responses = {
            str(status): {
                "description": HTTPStatus(status).phrase,
                "headers": {"X-Request-ID": _header("X-Request-ID")},
                "content": {"application/json": {"schema": as_dict(shape), "example": example}},
            }
            for status, example in statuses.items()
        }
        responses["500"] = failure(500, {"internal_error": problems.documented()["internal_error"].title})
        return {"get": {"operationId": name, "summary": summary, "tags": ["health"], "responses": responses}}

    up, down = {"mongodb": OK, "rabbitmq": OK, "redis": OK}, "no answer within 2 s"
    ready = {
        200: {"status": "ready", "checks": up, "troubledProviders": 1},
        503: {"status": "unavailable", "checks": up | {"rabbitmq": down}, "troubledProviders": 0},
    }
    accepting = {
        200: {"status": "ready", "checks": {"mongodb": OK}, "troubledProviders": 0},
        503: {"status": "unavailable", "checks": {"mongodb": down}, "troubledProviders": 0},
    }
    return {
        "/healthz": path("isAlive", "This process is alive.", {200: {"status": "alive"}}, _HEALTH),
        "/readyz": path("isReady", "The servers that it needs answer.", ready, _READINESS),
        "/readyz/accepting": path("isAccepting", "It can accept notifications.", accepting, _READINESS),
    }


def _with_shapes(value: Any, found: dict[str, Json]) -> Any:
    """``value`` with every ``Shape`` as a reference; the shapes themselves go into ``found``."""
    match value:
        case Shape():
            if value.name not in found:
                found[value.name] = {}
                found[value.name] = _with_shapes(value.schema, found)
            return {"$ref": f"#/components/schemas/{value.name}"}
        case Mapping() if CARRIED in value:
            return _with_shapes(value[CARRIED], found)
        case Mapping():
            return {str(name): _with_shapes(each, found) for name, each in value.items()}
        case list() | tuple():
            return [_with_shapes(each, found) for each in value]
        case _:
            return value


def _finish_paths(paths: Json) -> Json:
    """What apispec made of the paths, with parameters named and shown as the rest of the API is."""
    for operations in paths.values():
        # Flask knows of the parts of a path; each operation declares them better.
        operations.pop("parameters", None)
        for described in operations.values():
            example = described.pop(_QUERY_EXAMPLE, {})
            for parameter in described["parameters"]:
                if parameter["in"] == "query":
                    if parameter["name"] in example:
                        parameter["example"] = example[parameter["name"]]
                    if parameter["schema"].get("type") == "array":
                        parameter |= {"style": "form", "explode": False}
            if scopes := [scope for each in described.get("security", ()) for scope in each[_BEARER]]:
                needs = f"Needs a key with the scope `{scopes[0]}`."
                described["description"] = f"{described.get('description', '')}\n\n{needs}".strip()
    return {re.sub(r"\{\w+\}", lambda part: _camel(part[0]), path): each for path, each in paths.items()}


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
