"""Lanes: how many batches of group commit may be in flight."""

from __future__ import annotations

import asyncio

from governor_service.store.stages import LockWait


class Lanes:
    """How many batches may be in flight: `number` gathered batches and, besides, `number` large ones.

    Beside the batches, `max(2, number)` organizations at once may be decided apart with a short wait for
    locks, and `patient_max` with a long one.
    """

    def __init__(self, number: int, *, patient_max: int = 3, long_wait_seconds: float = 3.0) -> None:
        apart = max(2, number)
        self.connections = 2 * number + apart
        self.gathered = asyncio.Semaphore(number)
        self.large = asyncio.Semaphore(number)
        self.apart = asyncio.Semaphore(apart)
        self.patient = asyncio.Semaphore(patient_max)
        self.long_wait = LockWait(max(1, round(long_wait_seconds * 1000)), is_patient=True)
        # The organizations of each batch that is in flight, the oldest batch first.
        self.in_flight: list[frozenset[int]] = []

    def has_older_with(self, organizations: frozenset[int]) -> bool:
        """Whether an older batch in flight, of any kind, has one of the organizations of this one."""
        for others in self.in_flight:
            if others is organizations:
                return False
            if not others.isdisjoint(organizations):
                return True
        return False

    def has_another_with(self, organization: int, organizations: frozenset[int]) -> bool:
        """Whether a batch in flight has this organization, other than the batch of these organizations."""
        return any(organization in others for others in self.in_flight if others is not organizations)
