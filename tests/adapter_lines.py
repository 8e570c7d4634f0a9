"""How long an adapter's file is: its lines of code, without what is text or a table."""

from __future__ import annotations

import ast
import tokenize
from io import StringIO

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def adapter_lines(source: str) -> int:
    """Lines that hold code, those of imports among them. Not counted are blank lines, comments, docstrings, and the
    tables of answers (module-level values that are ``AnswerTable(…)``) with the names that these alone use.
    """
    tree = ast.parse(source)
    lines = {
        line
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in (*_docstrings(tree), *_tables(tree)):
        lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _docstrings(tree: ast.Module) -> list[ast.stmt]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [
        node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node) is not None
    ]


def _tables(tree: ast.Module) -> list[ast.stmt]:
    assignments = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    tables: list[ast.stmt] = [node for node in assignments if _is_table(node.value)]
    while True:
        used = {name for node in tables for name in _names(node, ast.Load)}
        used_elsewhere = {name for node in tree.body if node not in tables for name in _names(node, ast.Load)}
        found = [
            node
            for node in assignments
            if node not in tables and _names(node, ast.Store) <= used and not _names(node, ast.Store) & used_elsewhere
        ]
        if not found:
            return tables
        tables += found


def _is_table(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "AnswerTable"


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, context)}
