"""How current the price book is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

OLD_AFTER: Final = timedelta(days=30)
"""Providers change prices several times a month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceListCheck:
    """When the price book was last filled from a price list, or compared with one, and with which."""

    check_time: datetime
    source: str
    age: timedelta

    @property
    def is_old(self) -> bool:
        return self.age > OLD_AFTER
