"""The types of expressions, and the filters that templates have: what each takes, gives and may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jinja2 import nodes

from wavecom.core.templates import formatting
from wavecom.core.templates.variables import URL_LIMIT, Variable, VariableType


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of an expression. ``type`` None: true or false, or an object of a list, which has ``fields``.

    ``length``: characters that it may have at most when it is shown.
    """

    type: VariableType | None
    is_optional: bool = False
    fields: Mapping[str, Variable] = field(default_factory=dict)
    item: Variable | None = None
    max_items: int = 0
    length: int = 0

    @classmethod
    def of(cls, variable: Variable) -> Kind:
        """Of a declared variable."""
        fields, length = variable.fields, _length_of(variable)
        return cls(variable.type, not variable.is_required, fields, variable.items, variable.max_items, length)


#: A number or a date in its longest form, and the sign of a currency, are shorter in every locale.
_FIGURE_LENGTH: Final = 60
#: Between the items of a list, and what a text of ``join`` may have.
_SEPARATOR_LENGTH: Final = 20
#: Of one character, as UTF-8 in an address.
_URL_PART_LENGTH: Final = 12


def _length_of(variable: Variable) -> int:
    match variable.type:
        case VariableType.TEXT:
            return variable.max_length
        case VariableType.URL:
            return URL_LIMIT
        case VariableType.LIST:
            return (
                0 if variable.items is None else variable.max_items * (_length_of(variable.items) + _SEPARATOR_LENGTH)
            )
        case _:
            return _FIGURE_LENGTH


def text_of_length(length: int) -> Kind:
    """A text of so many characters."""
    return Kind(VariableType.TEXT, length=length)


BOOLEAN: Final = Kind(None)
NUMBER: Final = Kind(VariableType.NUMBER, length=_FIGURE_LENGTH)
#: What stands in a loop by the name `loop`.
LOOP: Final = {"index": NUMBER, "length": NUMBER, "first": BOOLEAN, "last": BOOLEAN}
#: The parts of an amount of money.
MONEY: Final = {"amount": NUMBER, "currency": text_of_length(3)}
_T = VariableType
#: Filter → what it takes, and the type of what it gives.
FILTERS: Final[Mapping[str, tuple[frozenset[VariableType], VariableType]]] = {
    **{
        name: (frozenset((_T.TEXT,)), _T.TEXT) for name in ("upper", "lower", "capitalize", "title", "trim", "truncate")
    },
    "urlencode": (frozenset(_T), _T.TEXT),
    "number": (frozenset((_T.NUMBER,)), _T.TEXT),
    "percent": (frozenset((_T.NUMBER,)), _T.TEXT),
    "plural": (frozenset((_T.NUMBER,)), _T.TEXT),
    "money": (frozenset((_T.MONEY,)), _T.TEXT),
    "date": (frozenset((_T.DATE,)), _T.TEXT),
    "time": (frozenset((_T.DATE,)), _T.TEXT),
    "datetime": (frozenset((_T.DATE,)), _T.TEXT),
    "length": (frozenset((_T.LIST, _T.TEXT)), _T.NUMBER),
    "join": (frozenset((_T.LIST,)), _T.TEXT),
}
#: Filters whose type follows from what they take.
TYPED_FILTERS: Final = ("default", "first", "last")


def gives_length(node: nodes.Filter, length: int) -> int:
    """Characters that one of the ``FILTERS`` may give, of a value with ``length`` of them."""
    constants = [*node.args, *(each.value for each in node.kwargs)]
    given = [each.value for each in constants if isinstance(each, nodes.Const)]
    match node.name:
        case "truncate":
            return min([length, *(each for each in given if isinstance(each, int))])
        case "urlencode":
            return length * _URL_PART_LENGTH
        case "plural":
            # Each # in it becomes the number.
            return max(
                (len(each) + each.count("#") * _FIGURE_LENGTH for each in given if isinstance(each, str)), default=0
            )
        case _:
            return max(length, _FIGURE_LENGTH)


def wrong_arguments(node: nodes.Filter) -> str:
    """What must be given to one of the ``FILTERS``, where something else is; else empty."""
    args = [each.value for each in node.args if isinstance(each, nodes.Const)]
    kwargs = {each.key: each.value.value for each in node.kwargs if isinstance(each.value, nodes.Const)}
    match node.name:
        case "plural":
            is_right = not args and "other" in kwargs and set(kwargs) <= set(formatting.PLURALS)
            is_right = is_right and all(isinstance(each, str) for each in kwargs.values())
            must = 'must give plural its forms, such as one="# parcel", other="# parcels"; other is needed'
        case "date" | "datetime" | "time":
            styles = formatting.TIME_STYLES if node.name == "time" else formatting.STYLES
            is_right = not kwargs and len(args) <= 1 and all(each in styles for each in args)
            must = f"must give {node.name} one of {', '.join(styles)}, or nothing"
        case "number" | "percent":
            is_right = not kwargs and len(args) <= 1 and all(type(each) is int and 0 <= each <= 6 for each in args)
            must = f"must give {node.name} from 0 to 6 decimals, or nothing"
        case "truncate":
            is_right = not kwargs and len(args) == 1 and type(args[0]) is int and 1 <= args[0] <= 10_000
            must = "must give truncate a number of characters from 1 to 10000"
        case "join":
            is_right = not kwargs and len(args) == 1 and isinstance(args[0], str) and len(args[0]) <= 20
            must = "must give join a text of at most 20 characters"
        case _:
            is_right, must = not args and not kwargs, f"must give {node.name} nothing"
    return "" if is_right else must
