"""What a text message may cost: the prices that an operator has written down, by the routes that it may go. Pure.

For previews alone. Nothing is charged by it, and no route is chosen by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

from wavecom.core.account import client_of
from wavecom.core.lanes import Channel
from wavecom.core.routes import ChannelRoutes

_AMOUNT: Final = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_FORM: Final = re.compile(rf"({_AMOUNT})(?: to ({_AMOUNT}))? ([A-Z]{{3}})")
PRICE_RULE: Final = 'must be a price such as "0.05 EUR", or from the cheapest to the dearest, "0.0079 to 0.0912 USD"'


@dataclass(frozen=True, slots=True)
class PriceRange:
    """From the lowest to the highest price, in a currency (ISO 4217)."""

    currency: str
    lowest: Decimal
    highest: Decimal

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of a text as ``PRICE_RULE`` has it. Raises ``ValueError``."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(PRICE_RULE)
        lowest, highest = Decimal(found[1]), Decimal(found[2] or found[1])
        if highest < lowest:
            raise ValueError("must begin with the lower of the two prices")
        return cls(found[3], lowest, highest)

    def of_segments(self, fewest: int, most: int) -> Self:
        """What a message costs that takes so many segments."""
        return type(self)(self.currency, self.lowest * fewest, self.highest * most)


class SegmentPrices:
    """``by_provider``: what a segment costs with each provider whose price is known."""

    def __init__(self, routes: Mapping[Channel, ChannelRoutes], by_provider: Mapping[str, PriceRange]) -> None:
        self._routes = routes
        self._by_provider = by_provider

    def of(self, account: str) -> Sequence[PriceRange]:
        """A range for each currency, over all providers that a text message of this account's client may go through.

        Those whose price is not known count for nothing. Test accounts pay nothing, and are shown what live ones pay.
        """
        known = [self._by_provider[name] for name in self._providers(client_of(account)) if name in self._by_provider]
        return [
            PriceRange(
                currency,
                min(each.lowest for each in known if each.currency == currency),
                max(each.highest for each in known if each.currency == currency),
            )
            for currency in sorted({each.currency for each in known})
        ]

    def _providers(self, client: str) -> Sequence[str]:
        routes = self._routes[Channel.SMS].routes if Channel.SMS in self._routes else ()
        usable = [
            route
            for route in routes
            if not route.conditions.is_test and (not route.conditions.clients or client in route.conditions.clients)
        ]
        return list(dict.fromkeys(name for route in usable for name in route.providers))


def written(amount: Decimal) -> str:
    """In digits, without an exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
