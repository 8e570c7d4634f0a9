"""flask-smorest beyond its documentation: what it notes of a view, and what it makes an operation's document of.

Where it has changed, operations are served all the same, and the OpenAPI document says of them what flask-smorest
knows by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flask_smorest import Api, Blueprint  # type: ignore[import-untyped]

from wavecom.internals.fast_paths import Library, changed_signature

#: The attribute of a view under which flask-smorest keeps its notes, ours among them. Wrappers carry it along.
_NOTES: Final = "_apidoc"


class BareApi(Api):  # type: ignore[misc]
    """``Api`` whose document has no parts of flask-smorest's own. Where these have other names, it has them."""

    def _register_responses(self) -> None:
        """None: flask-smorest's errors, in a form of its own, are never answered."""

    def _register_etag_headers(self) -> None:
        """None, as no operation uses them."""

    def _register_pagination_header(self) -> None:
        """None, as no operation uses it."""


def notes_of(view: Any) -> Mapping[str, Any]:
    """What is noted of a view."""
    found: Mapping[str, Any] = getattr(view, _NOTES, {})
    return found


def note(view: Any, **notes: Any) -> None:
    """Add to what is noted of a view. Anything that flask-smorest does not know, it leaves alone."""
    setattr(view, _NOTES, {**notes_of(view), **notes})


def document_with(blueprint: Any, prepare: Callable[..., dict[str, Any]]) -> None:
    """Have the document of each operation made by ``prepare``, of the document of its arguments.

    ``prepare`` gets that document, the notes of the view, and keyword arguments that it may ignore.
    """
    if LIBRARY.is_as_expected():
        blueprint._prepare_doc_cbks = [blueprint._prepare_arguments_doc, prepare]


def _check() -> Iterator[str]:
    for name in ("_register_responses", "_register_etag_headers", "_register_pagination_header"):
        yield from changed_signature(Api, name)
    blueprint = Blueprint("check", __name__)
    prepare = getattr(blueprint, "_prepare_arguments_doc", None)
    if prepare is None or prepare not in getattr(blueprint, "_prepare_doc_cbks", ()):
        yield "Blueprint._prepare_doc_cbks does not hold _prepare_arguments_doc"

    @blueprint.doc(summary="an example")  # type: ignore[untyped-decorator]
    def view() -> None: ...

    if notes_of(view) != {"manual_doc": {"summary": "an example"}}:
        yield f"what is noted of a view is not in {_NOTES}"


LIBRARY: Final = Library("flask-smorest", lambda: list(_check()))
