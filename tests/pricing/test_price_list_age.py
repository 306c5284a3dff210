"""The governor and the command warn when the price list in use is older than 30 days.

A version of the package does not get younger when the price book is compared with it again. What OpenRouter
answers does.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from governor_service.app.load_price_list import load_price_list
from governor_service.app.watch_price_list import warn_if_old
from governor_service.listings.genai_prices_listings import PACKAGE
from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings
from tests.pricing.openrouter_answers import answer
from tests.pricing.price_book import Book


@pytest.fixture
async def book(governor_dsn: str, database: Database) -> Book:
    """A price book with the shipped prices."""
    await load_price_list(database, "shipped")
    return Book(governor_dsn, database)


@pytest.fixture
def models(tmp_path: Path) -> str:
    """A saved answer of OpenRouter's, with a price as the book has it."""
    file = tmp_path / "models.json"
    file.write_text(answer(("perplexity/sonar", {"prompt": "1e-6", "completion": "1e-6"})))
    return str(file)


def _after(book: Book, days: int) -> str:
    """The database with a clock that is so many days ahead."""
    return f"{book.dsn}&governor.clock_offset={days}%20days"


async def test_the_command_warns(book: Book, models: str) -> None:
    """On stderr, beside what it shows, until a list is compared that is new."""
    assert (await book.run(dsn=_after(book, 29))).stderr == ""
    ran = await book.run(dsn=_after(book, 31))
    assert ran.stderr.startswith(f"warning: the price list in use, {PACKAGE}, is 31 days old")
    assert (ran.exit_code, ran.stderr.count("\n")) == (0, 1)
    assert (await book.run("compare", "openrouter", "--file", models, dsn=_after(book, 31))).stderr == ""
    assert (await book.run(dsn=_after(book, 31))).stderr == ""


@pytest.mark.parametrize(("days", "warns"), [(29, False), (31, True)])
async def test_the_governor_warns(book: Book, days: int, warns: bool) -> None:
    """In its log, also if the price book is compared with the same list in between."""
    await book.run(dsn=_after(book, 20))
    database = await Database.open(_after(book, days), DatabaseSettings(), application_name="test")
    try:
        with capture_logs() as logs:
            await warn_if_old(database)
    finally:
        await database.close()
    assert [(line["event"], line["source"], line["age_days"]) for line in logs] == (
        [("price_list_is_old", PACKAGE, days)] if warns else []
    )
