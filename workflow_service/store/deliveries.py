"""Which articles have been delivered, as each delivery was made: the table `workflow_deliveries`.

`workflow_publications` has the same of completed steps alone.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries

QUERIES: Final = load_queries(__package__, "deliveries.sql")


class Deliveries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_workflow(self, organization_id: UUID, workflow_id: UUID) -> dict[UUID, str]:
        """The locations of the articles that have been delivered, by article_id."""
        async with self._database.read() as connection:
            records = await connection.fetch(QUERIES["list_deliveries"], organization_id, workflow_id)
        return {record["article_id"]: record["location"] for record in records}

    async def insert(self, organization_id: UUID, workflow_id: UUID, article_id: UUID, location: str) -> None:
        """Records a delivery. Of two runs that delivered the article, the first one's location stays."""

        async def transaction(connection: Connection) -> None:
            await connection.execute(
                QUERIES["insert_delivery"], organization_id, workflow_id, article_id, location
            )

        await self._database.write(transaction)
