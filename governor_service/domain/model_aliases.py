"""Operators' own names of models."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAlias:
    """A name, in lower case, and the canonical model that it means; None: the alias was removed."""

    alias: str
    model: str | None
    author: str
    update_time: datetime
