"""What libraries do not document is used behind the fence alone: in ``wavecom.internals``, a module a library."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import wavecom

REPOSITORY = Path(__file__).resolve().parents[2]

#: Modules that may. Flower can't be locked in a documented way, and unlocked it does not start; what urllib3's
#: connections need lies above ``internals``.
FENCE = ("wavecom.internals.", "wavecom.flower", "wavecom.providers.transport.urllib3")

#: Names with an underscore that their library documents.
DOCUMENTED = {
    "_replace": "collections.namedtuple",
    "_get_current_object": "werkzeug.local.LocalProxy",
    "_deserialize": "marshmallow: Custom Fields",
    "_serialize": "marshmallow: Custom Fields",
    "_exit": "os",
}

#: Attributes of objects that are not ours, which are there to be set.
SETTABLE = {
    "app.json": "flask.Flask.json",
    "app.login_manager": "flask-login sets it, and asks for it",
    "app.rsgi": "granian asks the application for it",
    "app.secret_key": "flask.Flask.secret_key",
    "app.session_interface": "flask.Flask.session_interface",
    "app.url_map.merge_slashes": "werkzeug.routing.Map",
    "app.wsgi_app": "flask.Flask.wsgi_app, for middleware",
    "channel.auto_decode": "an argument of amqp.Channel, which kombu's channels do not take",
    "context.minimum_version": "ssl.SSLContext",
    "context.sslsocket_class": "ssl.SSLContext",
    "g.*": "flask.g",
    "node.*": "jinja2.nodes, whose fields its documentation of extensions lists",
    "operand.expr": "jinja2.nodes.Operand",
    "request.max_content_length": "flask.Request",
    "request.max_form_memory_size": "flask.Request",
    "root.handlers": "logging.Logger",
    "root.obj": "click.Context.obj",
    "self.headers": "http.client.HTTPMessage",
    "tls.check_hostname": "ssl.SSLContext",
    "tls.verify_mode": "ssl.SSLContext",
}

#: Methods with an underscore that replace a library's, and why that is all right.
REPLACEABLE = {
    "marshmallow._deserialize": "marshmallow: Custom Fields",
    "marshmallow._serialize": "marshmallow: Custom Fields",
    "marshmallow._validated": "of marshmallow.fields.Number; not called, fractions in the providers file are cut off",
    "environs._get_value": "reads a mapping in place of the process's environment, which the settings' tests notice",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((REPOSITORY / "wavecom").rglob("*.py")):
        name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def is_fenced(module: str) -> bool:
    return f"{module}.".startswith(FENCE) or module in FENCE


def own_names(tree: ast.AST) -> set[str]:
    """Attributes that the classes and functions of a module have or give themselves, and what it calls its own."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.ClassDef():
                pass
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
    return names


def uses(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    """Uses of what a library may not document: private attributes, and attributes set on objects that are not ours.

    ``ours`` are the names of all attributes that our own classes have.
    """
    in_module = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not str(node.module).startswith("wavecom"):
            for alias in node.names:
                if _is_private(alias.name):
                    yield f"line {node.lineno}: imports {node.module}.{alias.name}"
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            if not _is_own(node.value) and node.attr not in in_module and node.attr not in DOCUMENTED:
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if not _is_own(node.value) and node.attr not in ours and not _is_settable(node):
                yield f"line {node.lineno}: sets {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_own(value: ast.expr) -> bool:
    return ast.unparse(value) in {"self", "cls", "super()"}


def _is_settable(node: ast.Attribute) -> bool:
    return ast.unparse(node) in SETTABLE or f"{ast.unparse(node.value)}.*" in SETTABLE


#: Our own attribute names, and our own marks on views.
SETATTR_OF_OURS = "setattr(guarded, SCOPE, scope)"


@pytest.fixture(scope="module")
def ours() -> set[str]:
    return {name for _, tree in modules() for name in own_names(tree)}


def test_what_libraries_do_not_document_is_used_behind_the_fence_alone(ours: set[str]) -> None:
    found = [
        f"{module}: {use}"
        for module, tree in modules()
        if not is_fenced(module)
        for use in uses(tree, ours)
        if SETATTR_OF_OURS not in use
    ]

    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "transport._read_buffer += b''",
        "consumer.create_task_handler = make_handler",
        "kombu.connection.ConnectionPool.close_resource = collect",
        "setattr(consumer, 'on_decode_error', reject)",
        "from amqp.transport import _AbstractTransport",
        "value = self._connection._on_inbound_frame",
    ],
)
def test_a_use_outside_of_the_fence_is_found(planted: str, ours: set[str]) -> None:
    assert list(uses(ast.parse(planted), ours)) != []


def replaced_methods() -> Iterator[tuple[str, str]]:
    """Methods with an underscore by which a class outside of the fence replaces its library's: where, and which."""
    for info in pkgutil.walk_packages(wavecom.__path__, "wavecom."):
        if is_fenced(info.name) or info.name.startswith(("wavecom.wsgi", "wavecom.tasks")):
            continue
        for _, cls in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if cls.__module__ == info.name:
                yield from ((f"{info.name}.{cls.__qualname__}", name) for name in _replaced_by(cls))


def _replaced_by(cls: type) -> Iterable[str]:
    for name in filter(_is_private, vars(cls)):
        for base in cls.__mro__[1:]:
            library = base.__module__.partition(".")[0]
            if (
                library not in {"wavecom", *sys.stdlib_module_names}
                and name in vars(base)
                and callable(vars(base)[name])
            ):
                yield f"{library}.{name}"


def test_no_private_method_of_a_library_is_replaced_outside_of_the_fence() -> None:
    found = list(replaced_methods())

    assert [(where, name) for where, name in found if name not in REPLACEABLE] == []
    assert {name for _, name in found} >= {"marshmallow._deserialize"}, "the search finds nothing"


def test_a_replaced_method_is_found() -> None:
    class Library:
        __module__ = "amqp.connection"

        def _read(self) -> None: ...

    class Ours(Library):
        def _read(self) -> None: ...

        def _own(self) -> None: ...

    Library.__module__ = "amqp.connection"

    assert list(_replaced_by(Ours)) == ["amqp._read"]
