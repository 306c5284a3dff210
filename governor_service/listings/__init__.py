"""Price lists that a price book can begin with: `shipped`, the real prices, read from the package
genai-prices, and `document`, the figures of the document that the governor was built from, for tests.

`document.json` has one price to a line. A component that is missing costs what its parent costs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from importlib.resources import files

from governor_service.domain.pricing import Rates

NAMES = ("shipped", "document")

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than any usage that may be recorded."""


@dataclass(frozen=True, kw_only=True)
class Listing(Rates):
    """What a model costs from `effective_time` on (None: from when it is written), and the source.

    `provider`, `price_context`, `daily_start` and `daily_end` are those of the domain's Price.
    """

    model: str
    provider: str = ""
    price_context: Mapping[str, str] = field(default_factory=dict, hash=False)
    daily_start: time | None = None
    daily_end: time | None = None
    effective_time: datetime | None = None
    source: str


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """What one source lists.

    It either states everything that it knows of a model: all versions, variants and hours of the day. Or
    (`is_partial`) it states some rates of ordinary calls at present, and is silent about the rest.
    """

    source: str
    listings: Sequence[Listing]
    is_partial: bool = False
    alternate_names: Mapping[str, str] = field(default_factory=dict, hash=False)


def document_list() -> PriceList:
    """What `document.json` lists. Raises ValueError if a line is not a price within the bounds."""
    text = files(__package__).joinpath("document.json").read_text(encoding="utf-8")
    listings = [Listing(**line) for line in json.loads(text)["prices"]]
    return PriceList(source="the document", listings=listings)
