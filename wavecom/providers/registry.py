"""Which providers there are: the type written in the providers file → the class, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavecom.providers.base import BaseProvider

#: Type, which is also the name of the module in this folder, and the class in it.
CLASSES = {
    "http": "HttpProvider",
    "sandbox": "SandboxProvider",
    "smtp": "SmtpProvider",
}


def provider_class(type_name: str) -> type[BaseProvider[Any]]:
    """The class for a type of ``CLASSES``; KeyError for any other."""
    class_name = CLASSES[type_name]
    module = import_module(f"wavecom.providers.{type_name}")
    found: type[BaseProvider[Any]] = getattr(module, class_name)
    return found
