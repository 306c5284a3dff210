"""Kills processes at random and at chosen moments while workflows run."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.kills.books import Books, compare
from tests.kills.cluster import Cluster, Service, running_cluster
from tests.kills.feed import Feed
from tests.kills.moments import MOMENTS, Moment, install, release, until_held

_MOMENT_SECONDS = 4.0
_END_SECONDS = 180.0
_AT_ONCE = 10


@dataclass
class Report:
    books: Books
    kills: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    completed: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Killer:
    def __init__(self, cluster: Cluster, dice: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self._cluster = cluster
        self._dice = dice
        self._restarts: set[asyncio.Task[None]] = set()

    async def kill(self, *, moment: Moment | None = None) -> None:
        """One kill: at the moment, or at random."""
        if moment is not None:
            await self._at(moment)
            return
        kind = self._dice.choices(["instance", "every instance", "governor", "PostgreSQL"], [8, 3, 3, 2])[0]
        self.kills[kind] += 1
        if kind == "PostgreSQL":
            self._cluster.kill_postgres()
        elif kind == "governor":
            await self._kill(self._cluster.governor)
        elif kind == "instance":
            await self._kill(self._dice.choice(self._cluster.instances))
        else:
            for instance in self._cluster.instances:
                await self._kill(instance)

    async def settle_down(self) -> None:
        """Returns when everything runs again."""
        while self._restarts:
            await asyncio.wait(self._restarts)

    async def _at(self, moment: Moment) -> None:
        try:
            connection = await asyncpg.connect(self._cluster.postgres.dsn(moment.database), timeout=5)
        except (OSError, asyncpg.PostgresError):
            return
        try:
            port = await until_held(connection, moment, seconds=_MOMENT_SECONDS)
            if port is None:
                return
            # The governor's writes are not those of an instance's own connection: all instances are killed.
            victim = self._cluster.instance_of(port) if moment.database == "workflow" else None
            for instance in [victim] if victim is not None else self._cluster.instances:
                await self._kill(instance)
            self.kills[moment.what] += 1
            await release(connection)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            pass  # PostgreSQL is just being killed
        finally:
            connection.terminate()

    async def _kill(self, service: Service) -> None:
        await service.kill()
        task = asyncio.create_task(self._restart(service))
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _restart(self, service: Service) -> None:
        await asyncio.sleep(self._dice.uniform(0, 1))
        await service.restart()


async def campaign(directory: Path, *, kills: int, instances: int, seed: int) -> Report:
    """Kills so often while workflows run. Afterwards nobody asks for anything, and the books are compared."""
    dice = random.Random(seed)
    began = time.monotonic()
    async with running_cluster(directory, instances=instances) as cluster:
        for database in ("governor", "workflow"):
            await install(cluster.postgres.dsn(database), database)
        cluster.slow_down(4_000 + 100 * kills, dice)
        killer = Killer(cluster, dice)
        feed = Feed(cluster, cluster.postgres.dsn("workflow"), dice)
        feeding = asyncio.create_task(feed.run(_AT_ONCE, lambda: killer.kills.total() < kills))
        turn = 0
        while killer.kills.total() < kills and not feeding.done():
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            moment = MOMENTS[turn // 2 % len(MOMENTS)] if turn % 2 == 0 else None
            await killer.kill(moment=moment)
            turn += 1
        await killer.settle_down()
        wrong = []
        try:
            await asyncio.wait_for(feeding, _END_SECONDS)
        except TimeoutError:
            wrong.append(f"{feed.begun - feed.completed} workflows have not come to their end")
        except Exception as error:
            wrong.append(f"feeding broke: {error!r}")
        for service in cluster.instances:  # settles what is still being settled
            await service.stop()
        books = await compare(
            cluster.simulator.calls,
            workflow_dsn=cluster.postgres.dsn("workflow"),
            governor_dsn=cluster.postgres.dsn("governor"),
        )
    return Report(
        books=books,
        kills=killer.kills,
        begun=feed.begun,
        completed=feed.completed,
        seconds=time.monotonic() - began,
        wrong=wrong + feed.wrong + books.wrong,
    )
