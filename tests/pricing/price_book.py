"""A price book, and the command that keeps it current."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg

from governor_service.domain.pricing import Price
from governor_service.listings import EARLIEST, Listing
from service_chassis.postgres.database import Database


@dataclass
class Ran:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Book:
    """A price book, and the command that compares it with price lists and imports them."""

    dsn: str
    database: Database

    async def run(self, *arguments: str, dsn: str | None = None, **environment: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "governor_service.price_lists", *arguments),
            env={**os.environ, "GOVERNOR_DATABASE_URL": dsn or self.dsn, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Ran(process.returncode, stdout.decode(), stderr.decode())

    async def sql(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def rows(self) -> list[asyncpg.Record]:
        return await self.sql("SELECT * FROM prices ORDER BY model, effective_time")

    async def checks(self) -> list[tuple[str, int]]:
        """The comparisons so far, the first first: with what, and how many versions were written."""
        found = await self.sql("SELECT source, changes FROM price_list_checks ORDER BY check_time")
        return [(row["source"], row["changes"]) for row in found]


def in_book(listings: Iterable[Listing], *, author: str = "price list shipped") -> list[Price]:
    """The listings as the price book has them."""
    return [
        Price(
            price_id=uuid4(),
            author=author,
            **{
                field.name: getattr(listing, field.name)
                for field in fields(listing)
                if field.name != "effective_time"
            },
            effective_time=listing.effective_time or EARLIEST,
        )
        for listing in listings
    ]


def day(text: str) -> datetime:
    """Midnight UTC of a date such as 2026-12-01."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
