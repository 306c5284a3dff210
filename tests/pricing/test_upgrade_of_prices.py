"""A database of the first release: after the upgrade it has today's prices, and holds keep theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from structlog.testing import capture_logs

from governor_service.__main__ import running
from governor_service.app.load_price_list import load_price_list
from governor_service.listings.genai_prices_listings import PACKAGE
from governor_service.settings import GovernorSettings
from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1.pricing_service_pb2 import GetPriceRequest, ResolveModelRequest
from service_chassis.postgres.database import Database
from tests.governor.conftest import Governor, new_id
from tests.pricing.price_book import Book

# The prices that the first release shipped: the dearest tier and the dearest seller of each.
_SHIPPED = """
INSERT INTO prices (
    model, effective_time, input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok,
    cache_write_nano_usd_per_mtok, output_nano_usd_per_mtok, request_nano_usd, source, author, create_time)
SELECT
    shipped.model, '2000-01-01Z', shipped.input * 10^6, shipped.cached * 10^6, shipped.write * 10^6,
    shipped.output * 10^6, shipped.request, 'genai-prices 0.2.3: openrouter', 'price list shipped',
    '2026-11-23Z'
FROM (VALUES
    ('anthropic/claude-opus-4.1', 15000, 1500, 30000, 75000, 0),
    ('google/gemini-2.5-flash-lite-preview-06-17', 100, NULL, NULL, 400, 0),
    ('openai/gpt-4o', 6000, 3000, NULL, 18000, 0),
    ('openai/gpt-4o-mini', 150, 75, NULL, 600, 0),
    ('x-ai/grok-4-fast', 400, 50, NULL, 1000, 0)
) AS shipped (model, input, cached, write, output, request)
"""
_CHECK = """
INSERT INTO price_list_checks (check_time, source, changes, author)
VALUES ('2026-11-23Z', 'the price list of an earlier release', 5, 'migration')
"""


@pytest.fixture
async def book(governor_dsn: str, database: Database) -> Book:
    """The price book of the first release, as the migration leaves it."""
    book = Book(governor_dsn, database)
    await book.sql(_SHIPPED)
    await book.sql(_CHECK)
    return book


@asynccontextmanager
async def _serving(dsn: str, price_list: str) -> AsyncIterator[Governor]:
    settings = GovernorSettings.model_validate(
        {"database_url": dsn, "port": 0, "price_list": price_list, "sweep_interval_seconds": 86_400}
    )
    async with running(settings) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Governor(channel, dsn, organization_id=new_id(), workflow_id=new_id())


async def test_the_upgrade_at_the_first_start(book: Book) -> None:
    """A book that nobody edited gets the versions that differ from now on, and all that is new. The old ones
    stay, a hold is settled at the price that it was placed with, and ids resolve."""
    old = await book.rows()
    async with _serving(book.dsn, "document") as governor:  # it leaves the book alone
        request = governor.authorize_request(models=["openai/gpt-4o"], request_id=new_id())
        hold = await governor.stub.Authorize(request)
        assert hold.held_nano_usd == 1000 * 6_000 + 700 * 18_000
    async with _serving(book.dsn, "shipped") as upgraded:
        upgraded.organization_id, upgraded.workflow_id = governor.organization_id, governor.workflow_id
        settled = await upgraded.stub.Settle(
            governor_pb2.SettleRequest(
                organization_id=governor.organization_id,
                authorization_id=hold.authorization_id,
                served_model="openai/gpt-4o",
                usage=entry_pb2.Usage(input_tokens=1000, output_tokens=700, requests=1),
            )
        )
        assert settled.entry.cost_nano_usd == hold.held_nano_usd
        assert settled.entry.price_id == hold.price.price_id
        again = await upgraded.stub.Authorize(upgraded.authorize_request(models=["openai/gpt-4o"]))
        assert again.held_nano_usd == 1000 * 2_500 + 700 * 10_000
        # Unchanged: no new version.
        mini = await upgraded.prices.GetPrice(GetPriceRequest(model="openai/gpt-4o-mini"))
        assert mini.price_id in {str(row["price_id"]) for row in old} or mini.rates
        for model, resolved in (
            ("gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
            ("openrouter/openai/gpt-4o:extended", "openai/gpt-4o:extended"),
            (
                "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
                "aws/regional.anthropic.claude-3-5-sonnet-20241022-v2:0",
            ),
        ):
            answer = await upgraded.prices.ResolveModel(ResolveModelRequest(model=model))
            assert (answer.model, answer.priced) == (resolved, True)
        # Another name of a model has its price, without the dearest kind of cache write.
        opus = await upgraded.prices.GetPrice(GetPriceRequest(model="anthropic/claude-opus-4.1"))
        assert opus.cache_write_nano_usd_per_mtok == 18_750_000_000
    after = await book.rows()
    assert [row for row in after if row in old] == old
    grok = [row for row in after if row["model"] == "x-ai/grok-4-fast" and row["price_context"] == "{}"]
    assert [(row["input_nano_usd_per_mtok"], row["is_plain"]) for row in grok] == [
        (400_000_000, True),
        (200_000_000, False),
    ]
    source, versions = (await book.checks())[-1]
    assert (source, versions > 2000) == (PACKAGE, True)
    assert {row["author"] for row in after} == {"price list shipped"}


async def test_it_happens_once(book: Book) -> None:
    """Instances that start together do it once, and so does each version of the package."""
    loaded = await asyncio.gather(*(load_price_list(book.database, "shipped") for _ in range(3)))
    assert sorted(loaded)[:2] == [0, 0]
    after, checks = await book.rows(), await book.checks()
    assert await load_price_list(book.database, "shipped") == 0
    assert await book.rows() == after
    assert await book.checks() == checks


async def test_a_book_that_somebody_edited_is_left_alone(book: Book) -> None:
    """One price that an operator set: the governor says what to do, and the operator's import keeps it."""
    await book.sql("""
        INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, output_nano_usd_per_mtok, source,
            author)
        VALUES ('openai/gpt-4o', '2026-11-24Z', 1000000000, 4000000000, 'contract 12', 'anonymous')
    """)
    before = await book.rows()
    with capture_logs() as logs:
        assert await load_price_list(book.database, "shipped") == 0
    assert [(line["event"], line["log_level"]) for line in logs] == [("price_list_not_updated", "warning")]
    assert await book.rows() == before
    shown = (await book.run("import", "--json", "--yes")).json
    assert shown["written"]
    kept = {(change["model"], tuple(change["price_context"].items())) for change in shown["set_by_hand"]}
    assert ("openai/gpt-4o", ()) in kept
    assert {model for model, _ in kept} == {"openai/gpt-4o"}
    after = await book.rows()
    assert [row for row in after if row in before] == before
    assert [row["author"] for row in after if row["model"] == "openai/gpt-4o"] == [
        "price list shipped",
        "anonymous",
    ]
    changed = {change["model"]: change for change in shown["changes"]}
    assert changed["x-ai/grok-4-fast"]["change"] == "cheaper"
    assert changed["x-ai/grok-4-fast"]["effective_time"] is None
