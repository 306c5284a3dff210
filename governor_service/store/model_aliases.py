"""Operators' own names of models, in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from governor_service.domain.model_aliases import ModelAlias
from governor_service.domain.model_id import ModelId
from governor_service.domain.organizations import ChangeRequest
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "model_aliases.sql")


async def set_model_alias(
    connection: Connection, alias: str, model: ModelId | None, request: ChangeRequest
) -> tuple[str, ModelAlias | None]:
    """The outcome, and the alias as the request set it, even if it has changed since.

    `model` None removes the alias.
    """
    row = await connection.fetchrow(
        _QUERIES["set_model_alias"],
        request.request_id,
        request.content_hash,
        alias,
        model and model.line,
        request.author,
    )
    assert row is not None
    return row["outcome"], _alias(row["answer"]) if row["answer"] else None


async def list_model_aliases(connection: Connection, *, after_alias: str, limit: int) -> list[ModelAlias]:
    """At most `limit` aliases in force after a name, by alias."""
    rows = await connection.fetch(_QUERIES["list_model_aliases"], after_alias, limit)
    return [_alias(row["alias"]) for row in rows]


async def aliases_of(connection: Connection, model: ModelId) -> dict[str, ModelAlias]:
    """Those names of a model id that are aliases now."""
    rows = await connection.fetch(_QUERIES["newest_changes"], list(model.names))
    aliases = [_alias(row["alias"]) for row in rows]
    return {alias.alias: alias for alias in aliases if alias.model is not None}


def _alias(row: Mapping[str, Any]) -> ModelAlias:
    return ModelAlias(
        alias=row["alias"],
        model=row["model"],
        author=row["author"],
        update_time=datetime.fromisoformat(row["change_time"]),
    )
