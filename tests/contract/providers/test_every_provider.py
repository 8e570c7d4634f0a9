"""No provider is without a test that derives from the contract's suite."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.contract.provider_contract import ProviderContract
from wavecom.providers.registry import CLASSES


@pytest.mark.parametrize("type_name", CLASSES)
def test_every_provider_is_held_to_the_contract(type_name: str) -> None:
    module = import_module(f"tests.contract.providers.test_{type_name}")

    suites = [each for name, each in vars(module).items() if name.startswith("Test") and isinstance(each, type)]
    assert any(issubclass(suite, ProviderContract) for suite in suites)
