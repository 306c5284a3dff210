"""SetModelAlias, DeleteModelAlias and ListModelAliases: operators' own names of models."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.model_aliases import ModelAlias
from governor_service.domain.model_id import ModelId
from governor_service.domain.organizations import ChangeRequest
from governor_service.store import model_aliases
from service_chassis.postgres.database import Connection, Database


async def set_model_alias(
    database: Database, alias: str, model: ModelId | None, request: ChangeRequest
) -> ModelAlias:
    """From now on `alias` means the model that `model` is now; None removes the alias.

    Refuses a model without a price with MODEL_NOT_PRICED.
    """

    async def work(connection: Connection) -> ModelAlias:
        outcome, changed = await model_aliases.set_model_alias(connection, alias, model, request)
        match outcome:
            case "SET" | "REPLAYED":
                assert changed is not None
                return changed
            case "MODEL_NOT_PRICED":
                assert model is not None
                # Raised within the transaction, which gives up the request_id again.
                raise errors.model_not_priced(model.general_name)
            case _:
                raise errors.request_id_reused()

    return await database.write(work)


async def list_model_aliases(database: Database, *, after_alias: str, limit: int) -> list[ModelAlias]:
    """At most `limit` aliases in force after a name, by alias."""
    async with database.read() as connection:
        return await model_aliases.list_model_aliases(connection, after_alias=after_alias, limit=limit)
