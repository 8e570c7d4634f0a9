"""The language of templates: a part of Jinja's in which a source can do nothing but put declared variables into place.

A source is parsed by Jinja, and each node of what it gives must be one that is known here; so there are no calls, no
arithmetic, no attributes but declared fields, and no loops but over declared lists, whose length is bounded. Each
expression has a type, known before anything is rendered, and is escaped for the place in which it stands. What is
compiled runs in Jinja's sandbox all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final, NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from wavecom.core.templates.conditions import Path, path_of, present_where
from wavecom.core.templates.filters import (
    BOOLEAN,
    FILTERS,
    LOOP,
    MONEY,
    NUMBER,
    TYPED_FILTERS,
    Kind,
    gives_length,
    text_of_length,
    wrong_arguments,
)
from wavecom.core.templates.html_places import HtmlState, Place, advance
from wavecom.core.templates.tree import exact, is_number, joined_data
from wavecom.core.templates.variables import Variable, VariableType

SOURCE_LIMIT: Final = 256 * 1024
#: What a rendering may evaluate: steps of expressions, each as often as the longest lists have it done. A step (a
#: filter, a comparison, what puts a value in place) costs 1, and 1 more for each 1,000 characters that it may go
#: through; in CPU time that is about 5 µs.
COST_LIMIT: Final = 20_000
_CHARACTERS_PER_COST: Final = 1_000
_NESTING_LIMIT: Final = 8

#: Filters of ours behind those that authors write: how a value is shown, and made fit for its place.
SHOW, ESCAPE, LINE = "_show", "_escape", "_line"
#: As an author may write it too.
URL_PART: Final = "urlencode"


class Markup(StrEnum):
    """What the result of a source is."""

    HTML = "html"
    TEXT = "text"
    #: A text of one line: a subject, a title.
    LINE = "line"


class TemplateSourceError(Exception):
    """What is wrong with a source, in words that follow its name; ``line`` counts from 1."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.text = text
        self.line = line


_EQUALITY: Final = frozenset(("eq", "ne"))
_ORDER: Final = frozenset(("lt", "lteq", "gt", "gteq"))


class CheckedSource(NamedTuple):
    """A tree that is ready to be compiled. ``cost``: see ``COST_LIMIT``; of the longest lists and values."""

    tree: nodes.Template
    cost: float


def check(
    environment: ImmutableSandboxedEnvironment, source: str, variables: Mapping[str, Variable], markup: Markup
) -> CheckedSource:
    """The tree of a source, made ready to be compiled. Raises ``TemplateSourceError``."""
    if len(source) > SOURCE_LIMIT:
        raise TemplateSourceError(f"must have at most {SOURCE_LIMIT} characters; it has {len(source)}", 1)
    try:
        tree = environment.parse(source)
        checker = _Checker(variables, markup)
        return CheckedSource(checker.template(tree), checker.cost)
    except TemplateSyntaxError as error:
        raise TemplateSourceError(f"is no template: {error.message}", error.lineno) from None
    except (RecursionError, OverflowError, ValueError, MemoryError):
        raise TemplateSourceError("is nested too deeply, or holds a number that is too long", 1) from None


class _Checker:
    """Goes through one tree, in the order in which its parts are read by whoever reads the result."""

    def __init__(self, variables: Mapping[str, Variable], markup: Markup) -> None:
        self._names: dict[str, Kind] = {name: Kind.of(variable) for name, variable in variables.items()}
        self._markup = markup
        self._html = HtmlState()
        self._times = 1
        #: See ``COST_LIMIT``.
        self.cost = 0.0
        self._depth = 0
        self._loops = 0
        #: Whether a ``for``'s own condition is read.
        self._in_test = False
        #: What the conditions around this place say is not missing, by ``path_of``.
        self._present: frozenset[Path] = frozenset()

    def template(self, tree: nodes.Template) -> nodes.Template:
        """The whole tree."""
        tree.body = self._statements(tree.body)
        if self._markup is Markup.HTML and self._html.mode != "text":
            raise _wrong(tree, "ends within a tag, a comment, a script or a style")
        return tree

    def _statements(self, body: Sequence[nodes.Node]) -> list[nodes.Node]:
        return [self._statement(node) for node in body]

    def _statement(self, node: nodes.Node) -> nodes.Node:
        match node:
            case nodes.Output():
                node.nodes = [self._output(each) for each in joined_data(node.nodes)]
                return node
            case nodes.If():
                return self._if(node)
            case nodes.For():
                return self._for(node)
            case nodes.Include():
                name = node.template.value if isinstance(node.template, nodes.Const) else None
                raise _wrong(
                    node, f"includes {name!r}, and there is no partial of this name" if name else _NAMED_PARTIAL
                )
            case _:
                raise _wrong(node, f"has {_called(node)}, which templates can't use; they have if, for and include")

    def _output(self, node: nodes.Expr) -> nodes.Expr:
        if isinstance(node, nodes.TemplateData):
            self._data(node)
            return node
        kind, shown = self._expression(node)
        self._count(node, kind.length)
        if kind.type is None:
            raise _wrong(node, "puts in what is no text, number, money, date, url or list")
        if kind.type is VariableType.LIST and kind.fields:
            raise _wrong(node, "puts in a list of objects; go through it with for")
        return self._placed(node, kind, shown)

    def _data(self, node: nodes.TemplateData) -> None:
        if self._markup is not Markup.HTML:
            return
        try:
            self._html = advance(self._html, node.data)
        except ValueError as error:
            raise _wrong(node, str(error)) from None

    def _placed(self, node: nodes.Expr, kind: Kind, shown: nodes.Expr) -> nodes.Expr:
        """An expression made fit for the place in which it stands."""
        value = shown
        if kind.type is not VariableType.TEXT or kind.is_optional:
            shown = _filtered(shown, SHOW)
        if self._markup is Markup.TEXT:
            return shown
        if self._markup is Markup.LINE:
            return _filtered(shown, LINE)
        place = self._html.place()
        self._html = self._html.after_expression()
        match place:
            case Place.CODE:
                raise _wrong(node, "puts a value into script, style or another language, where nothing may be put in")
            case Place.MARKUP:
                raise _wrong(
                    node, "puts a value among tags' names or into a comment; only texts and quoted values may be"
                )
            case Place.URL_START:
                if kind.type is not VariableType.URL:
                    raise _wrong(node, "begins an address with what is no url; declare the variable as url")
            case Place.URL_PART:
                # As it is, not as people read it: 1234 and not 1,234.
                return _filtered(_filtered(value, URL_PART), SHOW)
            case _:
                pass
        return _filtered(shown, ESCAPE)

    def _if(self, node: nodes.If) -> nodes.Node:
        outer = self._present
        node.test = self._condition(node.test)
        start = self._begin(node)
        self._present = outer | present_where(node.test)
        node.body = self._statements(node.body)
        after = self._end(node)
        otherwise = outer | present_where(node.test, is_true=False)
        for each in node.elif_:
            self._html, self._present = start, otherwise
            each.test = self._condition(each.test)
            self._present = otherwise | present_where(each.test)
            each.body = self._statements(each.body)
            self._joined(each, after)
            otherwise |= present_where(each.test, is_true=False)
        self._html, self._present = start, otherwise
        node.else_ = self._statements(node.else_)
        self._joined(node, after)
        self._depth -= 1
        self._present = outer
        return node

    def _for(self, node: nodes.For) -> nodes.Node:
        if node.recursive or not isinstance(node.target, nodes.Name):
            raise _wrong(node, "must go through a list by for NAME in LIST")
        kind, node.iter = self._expression(node.iter)
        if kind.type is not VariableType.LIST:
            raise _wrong(node, "goes through what is no list")
        name = node.target.name
        if name in self._names or name == "loop":
            raise _wrong(node, f"calls an item {name}, which is a variable already")
        start, times = self._begin(node), self._times
        self._times *= max(1, kind.max_items)
        self._count(node)
        self._names[name] = Kind.of(kind.item) if kind.item is not None else Kind(None, fields=kind.fields)
        if node.test is not None:
            # Before the loop counts: which items it has is what the test says.
            outer, self._loops, self._in_test = self._loops, 0, True
            node.test = self._condition(node.test)
            self._loops, self._in_test = outer, False
        self._loops += 1
        node.body = self._statements(node.body)
        self._joined(node, start)
        self._times = times
        self._loops -= 1
        del self._names[name]
        node.else_ = self._statements(node.else_)
        self._joined(node, start)
        self._depth -= 1
        return node

    def _begin(self, node: nodes.Node) -> HtmlState:
        self._depth += 1
        if self._depth > _NESTING_LIMIT:
            raise _wrong(node, f"has more than {_NESTING_LIMIT} of if and for within each other")
        self._check_boundary(node)
        return self._html

    def _end(self, node: nodes.Node) -> HtmlState:
        self._check_boundary(node)
        return self._html

    def _check_boundary(self, node: nodes.Node) -> None:
        if self._markup is Markup.HTML and not self._html.allows_statement():
            raise _wrong(node, "has if or for within a tag's name, a script, a style or a comment")

    def _joined(self, node: nodes.Node, expected: HtmlState) -> None:
        """Both ways must leave HTML in the same state, or what follows would mean one thing or another."""
        self._check_boundary(node)
        ours, theirs = (replace(each, has_value=False) for each in (self._html, expected))
        if ours != theirs:
            raise _wrong(node, "must close in each branch what it opens: elements, tags and quotes")
        if expected.has_value:
            self._html = expected

    def _condition(self, node: nodes.Node) -> nodes.Expr:
        self._count(node)
        return self._expression(node)[1]

    def _expression(self, node: nodes.Node) -> tuple[Kind, nodes.Expr]:
        match node:
            case nodes.Const():
                return self._const(node), exact(node, node.value)
            case nodes.Name():
                return self._unless_missing(self._name(node), node)
            case nodes.Getattr():
                return self._unless_missing(*self._attribute(node, node.attr))
            case nodes.Getitem() if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                return self._unless_missing(*self._attribute(node, node.arg.value))
            case nodes.Filter():
                return self._filter(node)
            case nodes.Compare():
                return BOOLEAN, self._compare(node)
            case nodes.And() | nodes.Or():
                node.left = self._condition(node.left)
                outer = self._present
                self._present = outer | present_where(node.left, is_true=isinstance(node, nodes.And))
                node.right = self._condition(node.right)
                self._present = outer
                return BOOLEAN, node
            case nodes.Not():
                node.node = self._condition(node.node)
                return BOOLEAN, node
            case nodes.CondExpr():
                return self._either(node)
            case nodes.Neg() if isinstance(node.node, nodes.Const) and is_number(node.node.value):
                return self._const(node.node), exact(node, -node.node.value)
            case _:
                raise _wrong(node, f"has {_called(node)}, which templates can't use")

    def _const(self, node: nodes.Const) -> Kind:
        match node.value:
            case bool():
                return BOOLEAN
            case str():
                return text_of_length(len(node.value))
            case int() | float() if math.isfinite(node.value):
                return NUMBER
            case _:
                raise _wrong(node, f"has {node.value!r}, which templates can't use")

    def _name(self, node: nodes.Name) -> Kind:
        kind = self._names.get(node.name)
        if kind is None or node.ctx != "load":
            known = ", ".join(self._names) or "none"
            raise _wrong(node, f"uses {node.name}, which is not declared; the variables are: {known}")
        return kind

    def _unless_missing(self, kind: Kind, node: nodes.Expr) -> tuple[Kind, nodes.Expr]:
        return (replace(kind, is_optional=False) if path_of(node) in self._present else kind), node

    def _attribute(self, node: nodes.Getattr | nodes.Getitem, name: str) -> tuple[Kind, nodes.Expr]:
        inner = node.node
        if isinstance(inner, nodes.Name) and inner.name == "loop" and self._loops:
            if name not in LOOP:
                raise _wrong(node, f"uses loop.{name}; loop has {', '.join(LOOP)}")
            return LOOP[name], nodes.Getattr(inner, name, "load", lineno=node.lineno)
        if isinstance(inner, nodes.Name) and inner.name == "loop" and self._in_test:
            raise _wrong(node, f"uses loop.{name}, which there is within a for alone, and not in the for's own if")
        kind, inner = self._expression(inner)
        if kind.type is VariableType.MONEY and name in MONEY:
            if kind.is_optional:
                raise _wrong(
                    node,
                    f"uses .{name} of money that may be missing; put it within an if of the same variable "
                    "({% if total %}{{ total.amount }}{% endif %}), or have the variable required",
                )
            return MONEY[name], nodes.Getattr(inner, name, "load", lineno=node.lineno)
        if kind.type is not None or name not in kind.fields:
            known = ", ".join(kind.fields) if kind.type is None else ""
            raise _wrong(node, f"uses a field {name} of what has {known or 'none'}")
        # By key, never by attribute: a field may be called as a method of Python's dict.
        item = nodes.Getitem(inner, nodes.Const(name, lineno=node.lineno), "load", lineno=node.lineno)
        return Kind.of(kind.fields[name]), item

    def _filter(self, node: nodes.Filter) -> tuple[Kind, nodes.Expr]:
        if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise _wrong(node, "uses a filter in a way that templates can't")
        kind, node.node = self._expression(node.node)
        constants = [*node.args, *(each.value for each in node.kwargs)]
        if not all(isinstance(each, nodes.Const) and isinstance(each.value, str | int) for each in constants):
            raise _wrong(node, f"must give {node.name} texts and whole numbers as they are")
        if node.name in TYPED_FILTERS:
            return self._typed_filter(node, kind), node
        if node.name not in FILTERS:
            known = ", ".join(sorted((*FILTERS, *TYPED_FILTERS)))
            raise _wrong(node, f"uses the filter {node.name}, which there is not; there are: {known}")
        takes, gives = FILTERS[node.name]
        if kind.type not in takes:
            raise _wrong(node, f"uses {node.name}, which is for {' and '.join(sorted(takes))}")
        if kind.type is VariableType.LIST and kind.item is None and node.name != "length":
            raise _wrong(node, f"uses {node.name}, which is for lists of values")
        if must := wrong_arguments(node):
            raise _wrong(node, must)
        self._count(node, 0 if node.name == "length" else kind.length)
        is_optional = kind.is_optional and node.name != "length"
        return Kind(gives, is_optional, length=gives_length(node, kind.length)), node

    def _typed_filter(self, node: nodes.Filter, kind: Kind) -> Kind:
        self._count(node)
        if node.kwargs:
            raise _wrong(node, f"gives {node.name} what it does not take")
        if node.name == "default":
            is_text = len(node.args) == 1 and isinstance(node.args[0], nodes.Const) and node.args[0].value is not None
            if not is_text or kind.type not in {VariableType.TEXT, VariableType.NUMBER}:
                raise _wrong(node, "must give default one value, for a text or a number")
            given = self._expression(node.args[0])[0]
            if given.type is not kind.type:
                raise _wrong(node, f"must give default a {kind.type}")
            return replace(kind, is_optional=False, length=max(kind.length, given.length))
        if kind.type is not VariableType.LIST or node.args or kind.item is None:
            raise _wrong(node, f"uses {node.name}, which is for lists of values and takes nothing")
        return replace(Kind.of(kind.item), is_optional=True)

    def _compare(self, node: nodes.Compare) -> nodes.Expr:
        left, node.expr = self._expression(node.expr)
        for operand in node.ops:
            right, operand.expr = self._expression(operand.expr)
            self._count(node, min(left.length, right.length))
            if operand.op in _EQUALITY:
                if left.type is not right.type or left.fields or right.fields:
                    raise _wrong(node, "compares values of two types, which are never equal")
            elif operand.op not in _ORDER:
                raise _wrong(node, f"compares by {operand.op}; there are == != < <= > >=")
            elif left.type is not VariableType.NUMBER or right.type is not VariableType.NUMBER:
                raise _wrong(node, "compares by < or > what is no number")
            elif left.is_optional or right.is_optional:
                raise _wrong(node, "compares by < or > what may be missing; write default(0)")
            left = right
        return node

    def _either(self, node: nodes.CondExpr) -> tuple[Kind, nodes.Expr]:
        if node.expr2 is None:
            raise _wrong(node, "must say what is there else: A if B else C")
        node.test = self._condition(node.test)
        outer = self._present
        self._present = outer | present_where(node.test)
        first, node.expr1 = self._expression(node.expr1)
        self._present = outer | present_where(node.test, is_true=False)
        second, node.expr2 = self._expression(node.expr2)
        self._present = outer
        if first.type is not second.type or first.type is None or first.fields or second.fields:
            raise _wrong(node, "must give the same type in both cases")
        is_optional, length = first.is_optional or second.is_optional, max(first.length, second.length)
        return replace(first, is_optional=is_optional, length=length), node

    def _count(self, node: nodes.Node, length: int = 0) -> None:
        """One step, which goes through ``length`` characters."""
        self.cost += self._times * (1 + length / _CHARACTERS_PER_COST)
        if self.cost > COST_LIMIT:
            raise _wrong(
                node,
                f"may cost more than {COST_LIMIT} when its lists and texts are full (a filter, a comparison or a value "
                f"put in costs 1, and 1 more for each {_CHARACTERS_PER_COST} characters); give the lists a smaller "
                "maxItems, the texts a smaller maxLength",
            )


_NAMED_PARTIAL: Final = "must name the partial that it includes, in quotes"


def _filtered(node: nodes.Expr, name: str) -> nodes.Expr:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _called(node: nodes.Node) -> str:
    return {"Call": "a call", "Getitem": "an index"}.get(type(node).__name__, type(node).__name__.lower())


def _wrong(node: nodes.Node, text: str) -> TemplateSourceError:
    return TemplateSourceError(text, node.lineno or 1)
