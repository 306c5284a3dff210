"""The prices of the simulated models: real prices, in whole nano-USD.

The simulator plays the provider, so it bills by this table and not by the governor's price book.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ModelPrice:
    input_nano_usd_per_mtok: int
    output_nano_usd_per_mtok: int
    request_nano_usd: int = 0

    def cost_nano_usd(self, *, input_tokens: int, output_tokens: int) -> int:
        """The cost of one request, rounded up."""
        tokens = input_tokens * self.input_nano_usd_per_mtok + output_tokens * self.output_nano_usd_per_mtok
        return -(-tokens // 1_000_000) + self.request_nano_usd


PRICES: Final[Mapping[str, ModelPrice]] = {
    "perplexity/sonar": ModelPrice(1_000_000_000, 1_000_000_000, request_nano_usd=12_000_000),
    "openai/gpt-4o-mini": ModelPrice(150_000_000, 600_000_000),
    "x-ai/grok-4-fast": ModelPrice(200_000_000, 500_000_000),
    "z-ai/glm-4.7": ModelPrice(600_000_000, 2_200_000_000),
    "z-ai/glm-5": ModelPrice(1_000_000_000, 3_200_000_000),
}


def token_count(text: str) -> int:
    """An estimate: one token for every four bytes of UTF-8, rounded up."""
    return -(-len(text.encode()) // 4)
