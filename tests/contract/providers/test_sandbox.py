"""``type = "sandbox"`` keeps the contract of every provider: its magic recipients stand for what peers do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import pytest

from tests.contract.provider_contract import TO, Outbox, Peer, ProviderContract
from wavecom.core.lanes import Channel
from wavecom.providers.sandbox import MAGIC_RECIPIENTS

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

SANDBOX_NAMES: Mapping[str, str] = {
    "takes it": "accepted",
    "refuses it": "rejected",
    "is overloaded": "throttled",
    "takes it and is silent": "timeout",
    "takes it and drips": "timeout",
    "takes it and hangs up": "timeout",
    "refuses us": "unavailable",
    "takes it and says no more": "accepted",
    "is overloaded and breaks off": "throttled",
    "refuses it with nonsense": "rejected",
}


class TestSandboxProvider(ProviderContract):
    @pytest.fixture(params=[Channel.EMAIL, Channel.SMS])
    def channel(self, request: pytest.FixtureRequest) -> Channel:
        chosen: Channel = request.param
        return chosen

    def open_peer(self, behaviour: str, channel: Channel, outbox: Outbox, opened: ExitStack) -> Peer:
        outbox.is_away = behaviour == "nobody"
        to = TO[channel]
        name = SANDBOX_NAMES.get(behaviour)
        if name and name != "accepted":
            number = list(MAGIC_RECIPIENTS).index(name)
            to = {"email": f"{name}@sandbox.wavecom.test", "phone": f"+120255501{number:02}"}
        return Peer('type = "sandbox"', lambda: outbox.keys, to)
