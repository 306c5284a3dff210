"""Components of a price by name, as sellers list them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from governor_service.domain.model_names import canonical_model

Components = dict[str, Any]
"""Only those that are listed."""


def dearest(several: Iterable[Mapping[str, int]]) -> Components:
    """The highest value of each component."""
    found: Components = {}
    for components in several:
        for name, value in components.items():
            found[name] = max(value, found.get(name, 0))
    return found


def that_count(name: str, ids: Sequence[str]) -> list[str]:
    """Chooses among one seller's ids with the same canonical name: the canonical id or, if there is none, all
    that do not end in `:batch` (half price, for deferred calls)."""
    return [model_id for model_id in ids if model_id.lower() == name] or [
        model_id for model_id in ids if not model_id.endswith(":batch")
    ]


def by_canonical_name(ids: Iterable[str]) -> dict[str, list[str]]:
    """Groups the ids by the model that they mean."""
    found: dict[str, list[str]] = {}
    for model_id in ids:
        found.setdefault(canonical_model(model_id).model, []).append(model_id)
    return found
