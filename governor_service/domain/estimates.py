"""What usage would cost, without charging it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from governor_service.domain.pricing import Price


@dataclass(frozen=True, kw_only=True)
class ModelEstimate:
    """One model's part."""

    model: str
    cost_nano_usd: int
    charged_nano_usd: int | None
    """What was charged for a past month's usage; None for a given usage, which was never charged."""
    price: Price | None
    """None: the model had no price then, and its cost is left out."""


@dataclass(frozen=True)
class Estimate:
    models: Sequence[ModelEstimate]

    @property
    def cost_nano_usd(self) -> int:
        return sum(model.cost_nano_usd for model in self.models)

    @property
    def charged_nano_usd(self) -> int:
        return sum(model.charged_nano_usd or 0 for model in self.models)
