"""Services of operators' commands, of which a test makes only those that its command uses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from wavecom.services.operator import OperatorServices


def operator_services_with(**given: Any) -> OperatorServices:
    """Services of which those that are not given are None, and nothing has to be closed."""
    names = {each.name for each in fields(OperatorServices)} - {"close_callbacks"}
    return OperatorServices(**{**dict.fromkeys(names), **given})
