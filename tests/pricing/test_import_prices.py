"""Importing a seller's prices shows the differences, and writes them after a confirmation."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from governor_service.app.import_prices import price_differences, write_changes
from governor_service.app.load_price_list import load_price_list
from governor_service.domain.pricing import Rate
from governor_service.listings import Listing, openrouter_listings
from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from service_chassis.settings import DatabaseSettings
from workflow_service.simulator import Simulator

SONAR, MINI = "perplexity/sonar", "openai/gpt-4o-mini"


def answer(*models: tuple[str, dict[str, Any]]) -> str:
    """An answer of OpenRouter's /models, which has more than prices."""
    return json.dumps(
        {
            "data": [
                {"id": model, "name": model, "context_length": 128_000, "pricing": pricing}
                for model, pricing in models
            ]
        }
    )


def components(listing: Listing) -> dict[str, int]:
    return {name: value for name, value in listing.components() if value}


@pytest.mark.parametrize(
    ("pricing", "expected"),
    [
        (
            {"prompt": "0.00000015", "completion": "0.0000006"},
            {"input_nano_usd_per_mtok": 150_000_000, "output_nano_usd_per_mtok": 600_000_000},
        ),
        (
            {
                "prompt": "0.000003",
                "completion": "0.000015",
                "request": "0.005",
                "image": "0.0048",
                "web_search": "0.01",
                "internal_reasoning": "0.000016",
                "input_cache_read": "0.0000003",
                "input_cache_write": "0.00000375",
                "discount": 0,
            },
            {
                "input_nano_usd_per_mtok": 3_000_000_000,
                "cached_input_nano_usd_per_mtok": 300_000_000,
                "cache_write_nano_usd_per_mtok": 3_750_000_000,
                "output_nano_usd_per_mtok": 15_000_000_000,
                "reasoning_nano_usd_per_mtok": 16_000_000_000,
                "request_nano_usd": 5_000_000,
            },
        ),
        # 0 means no own price: reasoning then costs as much as output, and is not free.
        (
            {"prompt": "0.000001", "completion": "0.000002", "internal_reasoning": "0", "request": "0"},
            {"input_nano_usd_per_mtok": 1_000_000_000, "output_nano_usd_per_mtok": 2_000_000_000},
        ),
        # A fraction of a nano-dollar is rounded up; a JSON number is read exactly too.
        (
            {"prompt": 0.0000000000000001, "completion": "2e-6"},
            {"input_nano_usd_per_mtok": 1, "output_nano_usd_per_mtok": 2_000_000_000},
        ),
        ({"prompt": "0", "completion": "0"}, None),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "0.1"}, None),
    ],
)
def test_a_listing_of_openrouter(pricing: dict[str, Any], expected: dict[str, int] | None) -> None:
    """Decimal USD become nano-USD per million tokens and per request; a free model is unpriced."""
    found = openrouter_listings.listings(answer(("vendor/model", pricing)), source="test")
    assert [components(listing) for listing in found] == ([expected] if expected else [])


def test_each_id_is_a_model_of_its_own() -> None:
    """Variants and dated snapshots have their own prices, under their ids in lower case."""
    found = openrouter_listings.listings(
        answer(
            ("a/One", {"prompt": "1e-6", "completion": "1e-6"}),
            ("a/one", {"prompt": "7e-6", "completion": "7e-6"}),
            ("a/one-20250101", {"prompt": "2e-6", "completion": "5e-6"}),
            ("a/two-20250101", {"prompt": "1e-6", "completion": "5e-6"}),
            ("bare", {"prompt": "1e-6", "completion": "0"}),
        ),
        source="test",
    )
    assert [(listing.model, listing.provider, components(listing)) for listing in found] == [
        ("a/one", "openrouter", {"input_nano_usd_per_mtok": 10**9, "output_nano_usd_per_mtok": 10**9}),
        (
            "a/one-20250101",
            "openrouter",
            {"input_nano_usd_per_mtok": 2 * 10**9, "output_nano_usd_per_mtok": 5 * 10**9},
        ),
        (
            "a/two-20250101",
            "openrouter",
            {"input_nano_usd_per_mtok": 10**9, "output_nano_usd_per_mtok": 5 * 10**9},
        ),
        ("openrouter/bare", "openrouter", {"input_nano_usd_per_mtok": 10**9}),
    ]


def test_searches_have_a_rate() -> None:
    """The price of a search becomes that of a thousand."""
    (listing,) = openrouter_listings.listings(
        answer(("a/one", {"prompt": "1e-6", "completion": "1e-6", "web_search": "0.01"})), source="test"
    )
    assert listing.rates == (Rate(unit="web_searches", per=1000, nano_usd=10_000_000_000),)


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "[]",
        '{"data": {}}',
        '{"data": [1]}',
        '{"data": [{"id": 1}]}',
        answer(("a/b", {"prompt": "cheap", "completion": "1e-6"})),
        answer(("a/b", {"prompt": "NaN", "completion": "1e-6"})),
        '{"data": [{"id": "a/b", "pricing": {"prompt": Infinity, "completion": "1"}}]}',
        answer(("a/b", {"prompt": "1", "completion": "1"})),
    ],
)
def test_what_is_no_list_of_prices_is_refused_whole(body: str) -> None:
    """Text that is not JSON, or has another shape or a price that is no number or too large, is refused."""
    with pytest.raises(ValueError, match=r".+"):
        openrouter_listings.listings(body, source="test")


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
    """A price book with the document's prices, and the command that imports into it."""

    dsn: str
    database: Database

    async def run(self, *arguments: str, **environment: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "governor_service.price_lists", "import", *arguments),
            env={**os.environ, "GOVERNOR_DATABASE_URL": self.dsn, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Ran(process.returncode, stdout.decode(), stderr.decode())

    async def rows(self) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch("SELECT * FROM prices ORDER BY model, effective_time"))
        finally:
            await connection.close()


@pytest.fixture
async def book(governor_dsn: str) -> Any:
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="test")
    try:
        await load_price_list(database, "document")
        yield Book(governor_dsn, database)
    finally:
        await database.close()


async def test_differences_are_shown_and_nothing_is_written_unasked(book: Book, tmp_path: Path) -> None:
    """Without a confirmation by a person or --yes the differences are only shown."""
    file = tmp_path / "models.json"
    file.write_text(answer((SONAR, {"prompt": "1e-6", "completion": "3e-6", "request": "0.012"})))
    before = await book.rows()
    ran = await book.run("openrouter", "--file", str(file))
    assert ran.exit_code == 0
    assert "2 → 3" in ran.stdout
    assert "0 → 0.012" in ran.stdout
    assert "nothing was written" in ran.stdout
    shown = (await book.run("openrouter", "--file", str(file), "--json")).json
    assert not shown["written"]
    (change,) = shown["changes"]
    assert change["model"] == SONAR
    assert change["before"]["output_nano_usd_per_mtok"] == 2_000_000_000
    assert change["after"]["output_nano_usd_per_mtok"] == 3_000_000_000
    assert change["after"]["request_nano_usd"] == 12_000_000
    assert MINI in shown["not_listed"]
    assert await book.rows() == before


async def test_versions_are_written_for_what_changed_alone(book: Book, tmp_path: Path) -> None:
    """New and changed models get a version from now on; unchanged and unlisted models get none.

    A second run has nothing to do.
    """
    file = tmp_path / "models.json"
    file.write_text(
        answer(
            (SONAR, {"prompt": "1e-6", "completion": "3e-6"}),
            # An equal price in another form: cached input at the price of input.
            (MINI, {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.00000015"}),
            ("vendor/new", {"prompt": "1e-6", "completion": "1e-6"}),
        )
    )
    before = await book.rows()
    shown = (await book.run("openrouter", "--file", str(file), "--json", "--yes")).json
    assert shown["written"]
    assert [change["model"] for change in shown["changes"]] == [SONAR, "vendor/new"]
    assert shown["unchanged"] == [MINI]
    added = [row for row in await book.rows() if row not in before]
    assert [row["model"] for row in added] == [SONAR, "vendor/new"]
    assert len(await book.rows()) == len(before) + 2
    for row in added:
        assert row["source"] == "openrouter: models.json"
        assert row["author"].endswith(", importing openrouter")
    again = (await book.run("openrouter", "--file", str(file), "--json", "--yes")).json
    assert again["changes"] == []
    assert not again["written"]


async def test_the_simulators_models_are_read_over_http(book: Book) -> None:
    """The prices are the same from --url and from OPENROUTER_BASE_URL."""
    async with Simulator() as simulator:
        by_url = await book.run("openrouter", "--url", f"{simulator.base_url}/models", "--json")
        by_base = await book.run("openrouter", "--json", "--yes", OPENROUTER_BASE_URL=simulator.base_url)
    assert by_url.json["changes"] == [
        change | {"source": by_url.json["changes"][0]["source"]} for change in by_base.json["changes"]
    ]
    assert by_base.json["written"]
    (sonar,) = [change for change in by_base.json["changes"] if change["model"] == SONAR]
    assert sonar["after"]["request_nano_usd"] == 12_000_000
    assert sonar["after"]["output_nano_usd_per_mtok"] == 1_000_000_000


async def test_genai_prices_are_imported(book: Book) -> None:
    """The prices of the installed package are added to a book that has few."""
    shown = (await book.run("genai-prices", "--json", "--yes")).json
    assert len(shown["changes"]) > 200
    assert len(await book.rows()) == 5 + len(shown["changes"])
    assert (await book.run("genai-prices", "--json")).json["changes"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("openrouter", "--file", "/nonexistent.json"),
        ("openrouter", "--url", "http://127.0.0.1:1/models"),
        ("genai-prices", "--file", "models.json"),
    ],
)
async def test_what_cannot_be_read_is_said_in_a_line(book: Book, arguments: tuple[str, ...]) -> None:
    """An unreadable source gives an exit code and one line, no stack trace, and nothing is written."""
    before = await book.rows()
    ran = await book.run(*arguments, "--yes")
    assert ran.exit_code == 1
    assert ran.stderr.startswith("nothing was written: ")
    assert ran.stderr.count("\n") == 1
    assert await book.rows() == before


async def test_all_versions_or_none(book: Book) -> None:
    """If one price has changed since the differences were shown, none is written."""
    listings = openrouter_listings.listings(
        answer(
            (MINI, {"prompt": "1e-6", "completion": "1e-6"}),
            (SONAR, {"prompt": "5e-6", "completion": "5e-6"}),
        ),
        source="test",
    )
    stale = await price_differences(book.database, listings)
    await write_changes(book.database, stale.changes[1:], source="test", author="somebody else")
    before = await book.rows()
    with pytest.raises(Refusal, match=SONAR) as caught:
        await write_changes(book.database, stale.changes, source="test", author="test")
    assert caught.value.reason == "STATE_CONFLICT"
    assert await book.rows() == before
