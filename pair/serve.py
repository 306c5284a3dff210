"""`make serve`."""

from __future__ import annotations

from pair.lifecycle import running_pair
from pair.settings import PairSettings


async def serve(settings: PairSettings) -> int:
    """Prints the `ready` line, and runs until it is cancelled or a process ends."""
    async with running_pair(settings, {}) as pair:
        print(f"ready governor={pair.governor} workflow={pair.workflow}", flush=True)
        await pair.until_one_ends()
