"""Price lists that a price book can begin with: `shipped.json`, the real prices, and `document.json`, the
figures of the document that the governor was built from, for tests.

Each list is a JSON object with one price to a line. A component that is missing costs what its parent costs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from importlib.resources import files
from typing import Any

from governor_service.domain.pricing import Rates

NAMES = ("shipped", "document")

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than any usage that may be recorded."""


@dataclass(frozen=True, kw_only=True)
class Listing(Rates):
    """A model's price as one provider sells it; see `Price`."""

    model: str
    provider: str = ""
    price_context: Mapping[str, str] = field(default_factory=dict, hash=False)
    daily_start: time | None = None
    daily_end: time | None = None
    effective_time: datetime = EARLIEST
    source: str


def read_price_list(name: str) -> list[Listing]:
    """The listings of one of NAMES. Raises ValueError if a line is not a price within the bounds."""
    text = files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    return [Listing(**line) for line in json.loads(text)["prices"]]


def write_price_list(about: str, listings: list[Listing]) -> str:
    """The text of a price list: the same for the same listings, whatever their order."""
    lines = ",\n".join(
        json.dumps(_line(listing)) for listing in sorted(listings, key=lambda listing: listing.model)
    )
    return f'{{\n"about": {json.dumps(about)},\n"prices": [\n{lines}\n]\n}}\n'


def _line(listing: Listing) -> dict[str, Any]:
    components = {name: value for name, value in listing.components() if value is not None}
    return {"model": listing.model, **components, "source": listing.source}


def listed_price(model: str, price_context: Mapping[str, str]) -> Listing | None:
    return None
