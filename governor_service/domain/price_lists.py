"""Price lists: how current the price book is, and which of its prices come from lists."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from governor_service.domain.pricing import Price

OLD_AFTER: Final = timedelta(days=30)
"""Providers change prices several times a month."""

_LIST = "price list "
_IMPORTING = ", importing "


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceListCheck:
    """The price list that the price book was last filled from, or compared with.

    `check_time` is when that was; for a version of the package genai-prices, when that was first. It does not
    get younger by being read again.
    """

    check_time: datetime
    source: str
    age: timedelta

    @property
    def is_old(self) -> bool:
        return self.age > OLD_AFTER


def author_at_start(name: str) -> str:
    """The author of prices that a governor reads from a price list when it starts."""
    return f"{_LIST}{name}"


def author_of_import(user: str, seller: str) -> str:
    """The author of prices that a user imports."""
    return f"{user}{_IMPORTING}{seller}"


def is_set_by_hand(price: Price) -> bool:
    """Whether an operator set the price, and no list did. Earlier releases' lists did not name providers."""
    return not (price.provider or price.author.startswith(_LIST) or _IMPORTING in price.author)
