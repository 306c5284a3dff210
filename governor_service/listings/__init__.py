"""Price lists that a price book can begin with: `shipped`, the real prices, read from the package
genai-prices, and `document`, the figures of the document that the governor was built from, for tests.

`document.json` has one price to a line. A component that is missing costs what its parent costs.
"""

import json
from collections.abc import Mapping
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


def read_document() -> list[Listing]:
    """The listings of `document.json`. Raises ValueError if a line is not a price within the bounds."""
    text = files(__package__).joinpath("document.json").read_text(encoding="utf-8")
    return [Listing(**line) for line in json.loads(text)["prices"]]
