"""Models as callers name them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelId:
    """The possible canonical names of a model id, the most specific first.

    The database takes the first that an operator has made an alias, or that has a price.
    """

    names: tuple[str, ...]

    @property
    def general_name(self) -> str:
        """The name without dates, variants and sellers: the canonical one if the model has no price.

        Requests with the same request_id are compared by it.
        """
        return self.names[-1]

    @property
    def line(self) -> str:
        """The names as the database's functions take them."""
        return "\t".join(self.names)


def general_names(models: Sequence[ModelId]) -> list[str]:
    """The general name of each model, each once."""
    return list(dict.fromkeys(model.general_name for model in models))
