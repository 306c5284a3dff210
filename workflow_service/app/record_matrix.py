"""Writes the matrix of legal transitions into the database, which refuses all other transitions."""

from __future__ import annotations

from service_chassis.postgres.database import Connection, Database
from workflow_service.domain.states import TRANSITIONS
from workflow_service.store import workflows


async def record_matrix(database: Database) -> None:
    """Adds the transitions of `domain/states.py` that the database lacks.

    Transitions of earlier versions stay: the history refers to them, and during a rolling upgrade instances
    of the earlier version still make them.
    """
    edges = sorted((source, target) for source, targets in TRANSITIONS.items() for target in targets)

    async def record(connection: Connection) -> None:
        await workflows.insert_missing_transitions(connection, edges)

    await database.write(record)
