"""Templates of requests: Jinja in its sandbox, strict, compiled when the file is read.

A template is a text, or a table or list with texts in it. A text that is one expression and nothing else
(``"{{ attempt }}"``) gives what the expression gives, a number or a list too; any other gives a text. Since tables are
written as JSON, forms and queries only afterwards, nothing in a message can break out of its place. In XML, which is
one text, Jinja escapes what expressions give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from jinja2 import TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from wavecom.core.ports import Message
from wavecom.core.sandbox import sandboxed_environment

Path = tuple[str | int, ...]
#: Puts together what a template gives, of the message and of the values of all its expressions.
_Build = Callable[[Mapping[str, Any], list[Any]], Any]

#: What a template may use besides Jinja's own filters; of a message, what the ``http`` type sends by itself.
NAMES: Final = ("job_id", "reference", "delivery_key", "type", "to", "payload", "metadata", "attempt")
#: ``{{ payload.senderId | default(omit) }}`` leaves the key out where the message has none.
OMIT: Final = object()

_EXPRESSION = re.compile(r"\s*\{\{-?((?:(?!\}\}|\{\{).)*?)-?\}\}\s*", re.DOTALL)


class InvalidTemplateError(Exception):
    """What is wrong with a template, and where in it: for people, without what a message holds."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path
        self.text = text


def _json(value: object) -> str:
    return orjson.dumps(value, default=dict).decode()


def _environment(*, is_xml: bool = False) -> ImmutableSandboxedEnvironment:
    made = sandboxed_environment(autoescape=is_xml)
    made.globals["omit"] = OMIT
    made.filters["json"] = _json
    return made


_ENVIRONMENT: Final = _environment()
_XML_ENVIRONMENT: Final = _environment(is_xml=True)


class Template:
    """One template with all that is in it. Raises ``InvalidTemplateError`` where it can't be compiled. Thread-safe.

    ``names`` are those that it may use. ``is_xml``: what expressions give is escaped, but for what went through
    ``safe`` or ``e``.
    """

    def __init__(self, source: object, names: tuple[str, ...] = NAMES, *, is_xml: bool = False) -> None:
        self._source = source
        self._names = names
        self._is_xml = is_xml
        #: Names of the payload's fields that it uses; None: all of it, as a whole.
        self.payload_fields: frozenset[str] | None = frozenset()
        #: Where each text that is one expression stands, and the expression.
        self._expressions: list[tuple[Path, str]] = []
        self._build = self._compiled(source, ())
        # All at once: of what Jinja takes for an expression most is the same for one as for ten.
        self._evaluate = _expression(f"[{', '.join(f'({each})' for _, each in self._expressions)}]")

    def as_xml(self) -> Template:
        """The same template for a text that is XML."""
        return Template(self._source, self._names, is_xml=True)

    def render(self, values: Mapping[str, Any]) -> Any:
        """What it gives; raises ``InvalidTemplateError``, in whose text nothing of ``values`` stands."""
        try:
            found = self._evaluate(values)
        except Exception:  # noqa: BLE001 - each by itself tells which it was, and why
            found = None
        if found is None or any(isinstance(value, Undefined) for value in found):
            found = [_rendered(_expression(source), values, path) for path, source in self._expressions]
        return self._build(values, found)

    def _compiled(self, source: object, path: Path) -> _Build:
        if isinstance(source, Mapping):
            items = {str(key): self._compiled(inner, (*path, key)) for key, inner in source.items()}
            return lambda values, found: {
                key: value for key, build in items.items() if (value := build(values, found)) is not OMIT
            }
        if isinstance(source, list):
            parts = [self._compiled(inner, (*path, index)) for index, inner in enumerate(source)]
            return lambda values, found: [value for build in parts if (value := build(values, found)) is not OMIT]
        if not isinstance(source, str) or not ("{{" in source or "{%" in source or "{#" in source):
            return lambda _values, _found: source
        return self._compiled_text(source, path)

    def _compiled_text(self, source: str, path: Path) -> _Build:
        whole = _EXPRESSION.fullmatch(source)
        try:
            self._note_names(_ENVIRONMENT.parse(source), path)
            # An expression gives its value as it is.
            if whole is not None and not self._is_xml:
                _expression(whole[1])
                index = len(self._expressions)
                self._expressions.append((path, whole[1]))
                return lambda _values, found: found[index]
            environment = _XML_ENVIRONMENT if self._is_xml else _ENVIRONMENT
            render = environment.from_string(source).render
        except TemplateSyntaxError as error:
            raise InvalidTemplateError(path, f"is no template: {error.message}") from None
        return lambda values, _found: _rendered(render, values, path)

    def _note_names(self, tree: nodes.Template, path: Path) -> None:
        known = {*self._names, *_ENVIRONMENT.globals}
        stored = {each.name for each in tree.find_all(nodes.Name) if each.ctx == "store"}
        for name in tree.find_all(nodes.Name):
            if name.ctx == "load" and name.name not in known | stored:
                raise InvalidTemplateError(
                    path, f"uses {name.name}, which is not known; there are: {', '.join(self._names)}"
                )
        for found in _payload_uses(tree):
            if found is None or self.payload_fields is None:
                self.payload_fields = None
            else:
                self.payload_fields |= {found}


def _expression(source: str) -> Callable[[Mapping[str, Any]], Any]:
    return _ENVIRONMENT.compile_expression(source, undefined_to_none=False)


def _rendered(render: Callable[[Mapping[str, Any]], Any], values: Mapping[str, Any], path: Path) -> Any:
    try:
        value = render(values)
        if isinstance(value, Undefined):
            str(value)  # raises, and says which name it is
    except TemplateError as error:
        raise InvalidTemplateError(path, f"can't be filled in: {_reason(error)}") from None
    except Exception as error:  # noqa: BLE001 - filters raise what they happen to raise
        raise InvalidTemplateError(path, f"can't be filled in: {type(error).__name__}") from None
    return value


def _payload_uses(tree: nodes.Template) -> Iterator[str | None]:
    """Each field of the payload that is used; None for the payload as a whole."""
    fields = 0
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr | nodes.Getitem) and _is_payload(node.node):
            if isinstance(node, nodes.Getattr):
                fields += 1
                yield node.attr
            elif isinstance(node.arg, nodes.Const):
                fields += 1
                yield str(node.arg.value)
    if sum(map(_is_payload, tree.find_all(nodes.Name))) > fields:
        yield None


def _is_payload(node: object) -> bool:
    return isinstance(node, nodes.Name) and node.name == "payload"


def _reason(error: TemplateError) -> str:
    """Jinja's own words, which name what is missing; only a type's name where they might hold more."""
    text = error.message or type(error).__name__
    found = re.search(r"'([A-Za-z_][A-Za-z0-9_]*)' is undefined|has no attribute '([A-Za-z_][A-Za-z0-9_]*)'", text)
    if found is None:
        return type(error).__name__
    name = found[1] or found[2]
    return f"there is no {name}; where a message may have none, write default(omit) or default('')"


def values_of(message: Message, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """What templates see of a message; ``payload`` has its attachments as ``content``."""
    return {
        "job_id": message.job_id,
        "reference": message.receipt_reference,
        "delivery_key": message.delivery_key,
        "type": message.type.value,
        "to": message.to,
        "payload": payload,
        "metadata": message.metadata,
        "attempt": message.attempt,
    }
