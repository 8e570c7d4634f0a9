"""Parts of Jinja's trees, put right before they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jinja2 import nodes

#: A filter of ours: the exact number of a text.
DECIMAL: Final = "_decimal"


def is_number(value: object) -> bool:
    """Whether a constant is a number; Python counts true and false among them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def joined_data(parts: Sequence[nodes.Expr]) -> list[nodes.Expr]:
    """The parts with texts that stand side by side as one: a comment of Jinja's parts no tag of HTML."""
    made: list[nodes.Expr] = []
    for each in parts:
        before = made[-1] if made else None
        if isinstance(each, nodes.TemplateData) and isinstance(before, nodes.TemplateData):
            made[-1] = nodes.TemplateData(before.data + each.data, lineno=before.lineno)
        else:
            made.append(each)
    return made


def exact(node: nodes.Expr, value: object) -> nodes.Expr:
    """A constant. One with decimals is a ``Decimal``, as all values are: 19.9 of binary digits is not 19.90."""
    if isinstance(value, float):
        return nodes.Filter(
            nodes.Const(repr(value), lineno=node.lineno), DECIMAL, [], [], None, None, lineno=node.lineno
        )
    return nodes.Const(value, lineno=node.lineno)
