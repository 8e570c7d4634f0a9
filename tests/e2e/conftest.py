"""What tests that start whole processes find: queues of tests before them, empty."""

from __future__ import annotations

import pytest


@pytest.fixture
def amqp_url(prepared_amqp_url: str) -> str:
    return prepared_amqp_url
