"""Bounds the model calls in flight, in the process and for each organization.

A slot is taken before a call's hold is placed, so that no hold ages in a queue and each call finds a free
connection: the provider's client has as many connections as there are slots.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict, deque
from uuid import UUID


class Slot:
    """The right to make one call. It is released once."""

    def __init__(self, slots: CallSlots, organization_id: UUID) -> None:
        self._slots = slots
        self._organization_id = organization_id

    def release(self) -> None:
        self._slots.give_back(self._organization_id)


class CallSlots:
    """One per process.

    A free slot goes to the organizations that wait, in turn, and within an organization to the first who
    waits. So an organization waits for no more than one call of the others, however many wait there.
    """

    def __init__(self, *, calls_max: int, organization_calls_max: int) -> None:
        if calls_max < 1 or organization_calls_max < 1:
            raise ValueError("without a slot no call could ever be made")
        self._free = calls_max
        self._organization_calls_max = organization_calls_max
        self._in_flight: Counter[UUID] = Counter()
        self._waiting: defaultdict[UUID, deque[asyncio.Future[None]]] = defaultdict(deque)
        # Who may have the next slot: organizations that wait and are below their bound. Empty while slots are
        # free, because each change ends with `_grant`.
        self._turns: OrderedDict[UUID, None] = OrderedDict()

    async def take(self, organization_id: UUID) -> Slot:
        """Waits for a slot. The caller releases it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[organization_id].append(turn)
        self._queue(organization_id)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(organization_id)  # it was granted at the same moment
            else:
                self._leave(organization_id, turn)
            raise
        return Slot(self, organization_id)

    def give_back(self, organization_id: UUID) -> None:
        self._free += 1
        self._in_flight[organization_id] -= 1
        if not self._in_flight[organization_id]:
            del self._in_flight[organization_id]
        self._queue(organization_id)
        self._grant()

    def _grant(self) -> None:
        while self._free and self._turns:
            organization_id, _ = self._turns.popitem(last=False)
            turn = self._waiting[organization_id].popleft()
            if not turn.cancelled():
                self._free -= 1
                self._in_flight[organization_id] += 1
                turn.set_result(None)
            self._queue(organization_id)

    def _queue(self, organization_id: UUID) -> None:
        """Puts the organization at the end of those who may have a slot, if it may and is not there yet."""
        if not self._waiting[organization_id]:
            del self._waiting[organization_id]
        elif self._in_flight[organization_id] < self._organization_calls_max:
            self._turns.setdefault(organization_id)

    def _leave(self, organization_id: UUID, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting[organization_id]
        if turn in waiting:
            waiting.remove(turn)
        if not waiting:
            del self._waiting[organization_id]
            self._turns.pop(organization_id, None)
