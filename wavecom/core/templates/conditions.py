"""What a condition of a template says of variables that may be missing: within it they are not."""

from __future__ import annotations

from jinja2 import nodes

#: A name, and the names of the fields within it.
Path = tuple[str, ...]


def path_of(node: nodes.Node) -> Path:
    """Of a variable or a field; of anything else empty."""
    match node:
        case nodes.Name():
            return (node.name,)
        case nodes.Getitem() if isinstance(node.arg, nodes.Const):
            inner = path_of(node.node)
            return (*inner, str(node.arg.value)) if inner else ()
        case _:
            return ()


def present_where(test: nodes.Node, *, is_true: bool = True) -> frozenset[Path]:
    """What is not missing where a condition that was checked holds, or where it does not."""
    match test:
        case nodes.Not():
            return present_where(test.node, is_true=not is_true)
        case nodes.And() | nodes.Or() if isinstance(test, nodes.And) == is_true:
            return present_where(test.left, is_true=is_true) | present_where(test.right, is_true=is_true)
        case _:
            path = path_of(test)
            return frozenset((path,)) if path and is_true else frozenset()
