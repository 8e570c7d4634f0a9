"""flask-smorest with our way of reading arguments; the one place that knows that it has no types.

How an operation is declared
----------------------------
Everything that a client may send or get stands above its view, and the OpenAPI document is made of it::

    @blueprint.operation("POST", "", id="sendNotification")      # outermost; the id is the operationId
    @authenticator.requires(Scope.SEND)                                  # 401, 403 and the key in the document
    @blueprint.takes(IDEMPOTENCY_KEY)                            # headers, parts of the path: ``Parameter``s
    @blueprint.reads(NotificationSchema(now), example=EXAMPLE)   # 400, 413, 415, 422; for "query" 422 only
    @blueprint.answers(202, ACCEPTED, example=..., headers={"Location": "where it can be read"})
    @blueprint.fails(errors.IdempotencyMismatchError)            # what this operation alone can answer
    def send(notification: NotificationRequest) -> Response:
        \"\"\"Accept one notification for one recipient.   (the summary; a further paragraph is the description)

* ``answers`` once for each status of success (200 and 207, say), with the ``Shape`` of the body (``shapes.py``, the
  shapes themselves in ``answers.py``), an example that fits it, the headers that matter, and ``links``: what of this
  answer another operation takes, as ``{"readNotification": {"job_id": "/jobId"}}``.
* ``fails`` with classes of ``wavecom.errors``; their statuses and codes come from the table in ``problems.py``. What
  every operation can answer needs no mention: ``UNIVERSAL``, ``GUARDED`` and ``READING`` in ``declarations.py`` add
  it. An error that all operations share (a rate limit, say) belongs into one of these.
* A new error goes into ``errors.py`` and ``problems.PROBLEMS`` (which gives it its example and its place on
  ``/docs/errors``). A new field class says what it takes in ``json_schema()`` (see ``fields.DocumentedField``).
* ``python -m tests.openapi`` writes the copy in docs/openapi.json anew; do so as well when a rebase can't merge it.
* No decorator here but ``reads`` costs a call at run time. Tests hold the document against the application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from flask import Response
from flask_smorest import Blueprint  # type: ignore[import-untyped]
from marshmallow import Schema

from wavecom.errors import WaveComError
from wavecom.internals import smorest
from wavecom.web.api import openapi
from wavecom.web.api.arguments import ArgumentsParser
from wavecom.web.api.declarations import DeclaredErrors, DeclaredInput, DeclaredResponse, DeclaredText, Parameter
from wavecom.web.api.shapes import Json, Shape
from wavecom.web.authentication import SCOPE

P = ParamSpec("P")
View = Callable[P, Response]

#: What is noted of a view beside flask-smorest's own notes.
DECLARED, DESCRIBED = "declared", "described"


class ApiBlueprint(Blueprint):  # type: ignore[misc]
    """Views that read their arguments through ``ArgumentsParser`` and declare all that a client can meet."""

    ARGUMENTS_PARSER = ArgumentsParser()

    def __init__(self, name: str, import_name: str, **options: Any) -> None:
        super().__init__(name, import_name, **options)
        smorest.document_with(self, _prepare_declared)

    def operation(self, method: str, rule: str, *, id: str) -> Callable[[View[P]], View[P]]:
        """Serve ``method`` at ``rule``; ``id`` names the operation in the document and is unique there."""

        def decorate(view: View[P]) -> View[P]:
            declared, scope = smorest.notes_of(view).get(DECLARED, ()), getattr(view, SCOPE, None)
            # A function: flask-smorest copies whatever else it finds here, again and again.
            smorest.note(view, **{DESCRIBED: lambda: openapi.operation(declared, scope) | {"operationId": id}})
            self.route(rule, methods=[method])(view)
            return view

        return decorate

    def reads(
        self, schema: Schema, location: str = "json", *, example: Any
    ) -> Callable[[Callable[..., Response]], View[[]]]:
        """Hand what ``schema`` loads from ``location`` ("json" or "query") to the view. An instance: built once."""
        body: Json = {}
        if location == "json":
            body = {"example": example, "required": not getattr(schema, "may_be_left_out", False)}
        decorate: Any = self.arguments(schema, location=location, **body)

        def read(view: Callable[..., Response]) -> View[[]]:
            return _declare(decorate(view), DeclaredInput(location, example))

        return read

    def takes(self, *parameters: Parameter) -> Callable[[View[P]], View[P]]:
        """Document headers and parts of the path, which the view reads itself."""
        return lambda view: _declare(view, *parameters)

    def answers(
        self,
        status: int,
        shape: Shape | None = None,
        *,
        example: Any = None,
        description: str = "",
        headers: Mapping[str, str] | None = None,
        links: Mapping[str, Mapping[str, str]] | None = None,
        media_type: str = "application/json",
    ) -> Callable[[View[P]], View[P]]:
        """Document one status of success; the view makes the response itself."""
        answer = DeclaredResponse(status, shape, example, description, headers or {}, links or {}, media_type)
        return lambda view: _declare(view, answer)

    def reads_text(self, media_type: str, description: str, *, example: str) -> Callable[[View[P]], View[P]]:
        """Document a body that is no JSON, which the view reads itself."""
        return lambda view: _declare(view, DeclaredText(media_type, description, example))

    def fails(self, *classes: type[WaveComError]) -> Callable[[View[P]], View[P]]:
        """Document errors that this operation, other than most, can answer with."""
        return lambda view: _declare(view, DeclaredErrors(classes))


def _prepare_declared(doc: Json, doc_info: Json, **_: Any) -> Json:
    """What flask-smorest calls for each operation: its own knowledge of the arguments, our knowledge of the rest."""
    described: Json = doc_info[DESCRIBED]()
    # flask-smorest guesses one response from the arguments; ours are complete.
    return doc | described | {"parameters": [*described["parameters"], *doc.get("parameters", [])]}


def _declare(
    view: View[P], *what: Parameter | DeclaredResponse | DeclaredInput | DeclaredText | DeclaredErrors
) -> View[P]:
    """Note ``what`` where flask-smorest keeps its own notes: wrappers around the view carry them along."""
    smorest.note(view, **{DECLARED: [*what, *smorest.notes_of(view).get(DECLARED, [])]})
    return view
