from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from wavecom.core.templates.variables import (
    Money,
    Variable,
    VariableType,
    declaration_problems,
    longest_examples_of,
    values_of,
)
from wavecom.errors import Problem

T = VariableType
CHF = {"amount": "12.50", "currency": "CHF"}


def wrong(variable: Variable, value: Any) -> list[tuple[str, str]]:
    _, problems = values_of({"it": variable}, {"it": value})
    return [(each.where, each.code) for each in problems]


@pytest.mark.parametrize(
    ("type_", "given", "value"),
    [
        (T.TEXT, "Amina", "Amina"),
        (T.NUMBER, 3, 3),
        (T.NUMBER, -0.5, -0.5),
        (T.MONEY, CHF, Money(Decimal("12.50"), "CHF")),
        (T.MONEY, {"amount": 12.5, "currency": "CHF"}, Money(Decimal("12.5"), "CHF")),
        (T.DATE, "2026-03-14", date(2026, 3, 14)),
        (T.DATE, "2026-03-14T09:26:53Z", datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)),
        (T.URL, "https://shop.example/a?b=c#d", "https://shop.example/a?b=c#d"),
    ],
)
def test_a_value_of_its_type_is_taken(type_: VariableType, given: Any, value: Any) -> None:
    assert values_of({"it": Variable(type_)}, {"it": given}) == ({"it": value}, [])


@pytest.mark.parametrize(
    ("type_", "given", "code"),
    [
        (T.TEXT, 3, "wrong_type"),
        (T.TEXT, "x" * 1001, "too_long"),
        (T.TEXT, "a\0b", "invalid"),
        (T.NUMBER, "3", "wrong_type"),
        (T.NUMBER, True, "wrong_type"),
        (T.NUMBER, 1e300, "out_of_range"),
        (T.MONEY, 12.5, "wrong_type"),
        (T.MONEY, {"amount": "12.50"}, "wrong_type"),
        (T.MONEY, {"amount": "a", "currency": "CHF"}, "wrong_type"),
        (T.MONEY, {"amount": "NaN", "currency": "CHF"}, "out_of_range"),
        (T.MONEY, {"amount": "1e999999999", "currency": "CHF"}, "out_of_range"),
        (T.MONEY, {"amount": "0.1234567", "currency": "CHF"}, "out_of_range"),
        (T.MONEY, {"amount": "1", "currency": "Fr."}, "invalid"),
        (T.DATE, "14.03.2026", "invalid"),
        (T.DATE, "2026-02-30", "invalid"),
        (T.DATE, "2026-03-14T09:26:53", "invalid"),
        (T.DATE, 20260314, "wrong_type"),
        (T.URL, "javascript:alert(1)", "invalid"),
        (T.URL, "JaVaScRiPt:alert(1)", "invalid"),
        (T.URL, "data:text/html,x", "invalid"),
        (T.URL, "//shop.example", "invalid"),
        (T.URL, "https://", "invalid"),
        (T.URL, 'https://a.example/"onclick="x', "invalid"),
        (T.URL, "https://a.example/\nx", "invalid"),
        (T.URL, "https://[a", "invalid"),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_named(type_: VariableType, given: Any, code: str) -> None:
    assert wrong(Variable(type_), given) == [("/variables/it", code)]


def test_what_is_missing_or_unknown_is_named_with_what_there_is() -> None:
    variables = {"name": Variable(T.TEXT), "note": Variable(T.TEXT, is_required=False)}

    values, problems = values_of(variables, {"firstname": "Amina", "a/b": 1})

    assert values == {"name": None, "note": None}
    assert [(each.where, each.code) for each in problems] == [
        ("/variables/firstname", "unknown_field"),
        ("/variables/a~1b", "unknown_field"),
        ("/variables/name", "required"),
    ]
    assert "name, note" in problems[0].message


def test_items_of_lists_are_checked_one_by_one() -> None:
    lines = Variable(T.LIST, max_items=2, fields={"name": Variable(T.TEXT), "price": Variable(T.MONEY)})

    assert wrong(lines, "a") == [("/variables/it", "wrong_type")]
    assert wrong(lines, [{}] * 3) == [("/variables/it", "too_many")]
    assert wrong(lines, ["a", {"name": 1, "cost": 2, "price": CHF}]) == [
        ("/variables/it/0", "wrong_type"),
        ("/variables/it/1/cost", "unknown_field"),
        ("/variables/it/1/name", "wrong_type"),
    ]
    assert wrong(Variable(T.LIST, items=Variable(T.NUMBER)), [1, "2"]) == [("/variables/it/1", "wrong_type")]


@pytest.mark.parametrize(
    ("declared", "where"),
    [
        ({"Name": Variable(T.TEXT, "x")}, "/variables/Name"),
        ({"loop": Variable(T.TEXT, "x")}, "/variables/loop"),
        ({"a": Variable(T.TEXT, "x", max_length=0)}, "/variables/a/maxLength"),
        ({"a": Variable(T.LIST, [], max_items=501, items=Variable(T.TEXT, "x"))}, "/variables/a/maxItems"),
        ({"a": Variable(T.LIST, [])}, "/variables/a"),
        ({"a": Variable(T.TEXT, "x", items=Variable(T.TEXT, "x"))}, "/variables/a"),
        ({"a": Variable(T.LIST, [], items=Variable(T.LIST, []))}, "/variables/a/items/type"),
        ({"a": Variable(T.LIST, [], fields={"B": Variable(T.TEXT)})}, "/variables/a/fields/B"),
        ({"a": Variable(T.TEXT, 3)}, "/variables/a/example"),
        ({"a": Variable(T.TEXT)}, "/variables/a/example"),
        ({f"a{number}": Variable(T.TEXT, "x") for number in range(101)}, "/variables"),
    ],
)
def test_a_declaration_that_is_wrong_is_named(declared: dict[str, Variable], where: str) -> None:
    assert [each.where for each in declaration_problems(declared)] == [where]


def test_the_longest_examples_fill_what_the_declarations_allow() -> None:
    variables = {
        "name": Variable(T.TEXT, "Amina", max_length=12),
        "tags": Variable(T.LIST, ["a", "b"], items=Variable(T.TEXT, "a", max_length=1), max_items=3),
        "count": Variable(T.NUMBER, 3),
    }

    assert longest_examples_of(variables) == {"name": "AminaAminaAm", "tags": ["a", "b", "a"], "count": 3}


def test_problems_are_bounded_and_name_what_there_is_once() -> None:
    variables = {f"name{index}": Variable(VariableType.TEXT, "a") for index in range(100)}
    lines = {"lines": Variable(VariableType.LIST, [], fields=variables, max_items=500)}

    _, found = values_of(variables, {f"x{index}": 1 for index in range(5_000)})
    _, in_a_list = values_of(lines, {"lines": [{f"x{index}": 1 for index in range(100)}] * 500})

    assert len(found) == len(in_a_list) == Problem.LIMIT
    assert sum("there are: name0, name1," in each.message for each in found + in_a_list) == 2


def test_texts_in_lists_are_filled_up_as_well() -> None:
    text = Variable(VariableType.TEXT, max_length=5)
    variables = {
        "tags": Variable(VariableType.LIST, ["ab"], items=text, max_items=2),
        "lines": Variable(VariableType.LIST, [{"name": "Pen"}], fields={"name": text, "note": text}, max_items=1),
    }

    assert longest_examples_of(variables) == {"tags": ["ababa"] * 2, "lines": [{"name": "PenPe", "note": "xxxxx"}]}
