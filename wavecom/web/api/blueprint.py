"""flask-smorest with our way of reading arguments; the one place that knows that it has no types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

from flask import Response
from flask_smorest import Blueprint  # type: ignore[import-untyped]
from marshmallow import Schema

from wavecom.web.api.parser import ArgumentsParser

P = ParamSpec("P")
View = Callable[P, Response]


class ApiBlueprint(Blueprint):  # type: ignore[misc]
    """Views that read their arguments through ``ArgumentsParser`` and are documented by their schemas."""

    ARGUMENTS_PARSER = ArgumentsParser()

    def operation(self, method: str, rule: str) -> Callable[[View[P]], View[P]]:
        """Serve ``method`` at ``rule``."""

        def decorate(view: View[P]) -> View[P]:
            self.route(rule, methods=[method])(view)
            return view

        return decorate

    def reads(self, schema: Schema, location: str = "json") -> Callable[[Callable[..., Response]], View[[]]]:
        """Hand what ``schema`` loads from ``location`` ("json" or "query") to the view. An instance: built once."""
        decorate: Any = self.arguments(schema, location=location)
        return decorate  # type: ignore[no-any-return]

    def answers(self, status: int) -> Callable[[View[P]], View[P]]:
        """Document the status of the response that the view makes itself."""
        decorate: Any = self.response(status)
        return decorate  # type: ignore[no-any-return]
