"""Updates the price book of GOVERNOR_DATABASE_URL from price lists.

    python -m governor_service.price_lists import genai-prices
    python -m governor_service.price_lists import openrouter [--file models.json | --url URL]

show how a seller's present prices differ from the price book. After a yes (or with --yes) they add a version
for each model whose price differs, in force from now on: all or none. --json prints the differences as JSON
and does not ask.
"""

import asyncio
import json
import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from getpass import getuser
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from rich.console import Console
from rich.table import Table

from governor_service.app.import_prices import (
    PriceChange,
    PriceDifferences,
    price_differences,
    write_changes,
)
from governor_service.listings import Listing, openrouter_listings
from governor_service.listings.genai_prices_listings import listings, listings_in_force
from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from service_chassis.settings import (
    CommandLine,
    DatabaseSettings,
    HttpUrl,
    database_of,
    load_settings,
    refuse_setting,
)

_FETCH_TIMEOUT_SECONDS = 30.0

_COLUMNS = {
    "input_nano_usd_per_mtok": "input",
    "cached_input_nano_usd_per_mtok": "cached",
    "cache_write_nano_usd_per_mtok": "cache write",
    "output_nano_usd_per_mtok": "output",
    "reasoning_nano_usd_per_mtok": "reasoning",
    "request_nano_usd": "request",
}


class PriceListSettings(DatabaseSettings):
    """The governor's own database settings, and where OpenRouter lists its prices."""

    model_config = SettingsConfigDict(env_prefix="GOVERNOR_")

    openrouter_base_url: HttpUrl = Field(
        default="https://openrouter.ai/api/v1", validation_alias="OPENROUTER_BASE_URL"
    )


def main() -> None:
    arguments = _parser().parse_args()
    try:
        asyncio.run(_import(arguments))
    except (Refusal, ValueError, OSError, asyncpg.PostgresError, httpx.HTTPError) as error:
        sys.exit(f"nothing was written: {error or type(error).__name__}")


def _parser() -> CommandLine:
    parser = CommandLine(
        prog="python -m governor_service.price_lists",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="update the price book from a seller's prices")
    importing.add_argument("seller", choices=["genai-prices", "openrouter"])
    source = importing.add_mutually_exclusive_group()
    source.add_argument("--file", type=Path, help="openrouter: a saved answer of GET /models")
    source.add_argument("--url", help="openrouter: where to get it (default: $OPENROUTER_BASE_URL/models)")
    importing.add_argument("--yes", action="store_true", help="write without asking")
    importing.add_argument("--json", action="store_true", help="show the differences as JSON")
    return parser


async def _import(arguments: Namespace) -> None:
    settings = load_settings(PriceListSettings)
    if settings.database_url is None:
        refuse_setting("GOVERNOR_DATABASE_URL", "is not set")
    listings = await _listings(arguments, settings)
    with database_of("GOVERNOR_DATABASE_URL"):
        database = await Database.open(
            settings.database_url.get_secret_value(), settings, application_name="governor_price_lists"
        )
    try:
        differences = await price_differences(database, listings)
        written = False
        if not arguments.json:
            _show(differences)
        if differences.changes and (arguments.yes or (not arguments.json and _confirmed())):
            await write_changes(
                database,
                differences.changes,
                source=arguments.seller,
                author=f"{_user()}, importing {arguments.seller}",
            )
            written = True
    finally:
        await database.close()
    if arguments.json:
        json.dump(_as_json(differences, written), sys.stdout, indent=2)
        print()
    elif differences.changes:
        print(f"{len(differences.changes)} versions written" if written else "nothing was written")


async def _listings(arguments: Namespace, settings: PriceListSettings) -> list[Listing]:
    if arguments.seller == "genai-prices":
        if arguments.file or arguments.url:
            raise ValueError("--file and --url are for openrouter: genai-prices is an installed package")
        return [
            listing
            for listing in listings_in_force(listings(), datetime.now(UTC))
            if not listing.price_context and listing.daily_start is None
        ]
    if arguments.file:
        return openrouter_listings.listings(
            arguments.file.read_bytes(), source=f"openrouter: {arguments.file.name}"
        )
    url = arguments.url or f"{settings.openrouter_base_url}/models"
    # httpx alone bounds each read, not all of them together.
    async with asyncio.timeout(_FETCH_TIMEOUT_SECONDS), httpx.AsyncClient() as client:
        answer = (await client.get(url)).raise_for_status()
    return openrouter_listings.listings(answer.content, source=f"openrouter: {url}"[:1024])


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


def _confirmed() -> bool:
    """Without a terminal the answer is no."""
    return sys.stdin.isatty() and input("Write these versions? [y/N] ").strip().lower() in ("y", "yes")


def _show(differences: PriceDifferences) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 160  # in a pipe or file the table is not wrapped at 80 columns
    if differences.changes:
        table = Table("model", *_COLUMNS.values(), title="USD per million tokens, and per request")
        for change in differences.changes:
            mark = "" if change.before else " [green](new)[/]"
            table.add_row(change.after.model + mark, *_cells(change))
        console.print(table)
    new = sum(change.before is None for change in differences.changes)
    console.print(
        f"{new} new, {len(differences.changes) - new} changed, {len(differences.unchanged)} unchanged; "
        f"{len(differences.not_listed)} not listed, which keep their price"
    )


def _cells(change: PriceChange) -> Iterator[str]:
    """A changed component shows both prices: red if it rises, yellow if it falls, since holds then get
    smaller."""
    after = dict(change.after.components())
    before = dict(change.before.components()) if change.before else after
    for name in _COLUMNS:
        old, new = before[name], after[name]
        if old == new:
            yield _usd(new)
        else:
            colour = "yellow" if (new or 0) < (old or 0) else "red"
            yield f"[{colour}]{_usd(old)} → {_usd(new)}[/]"


def _usd(nano_usd: int | None) -> str:
    return "–" if nano_usd is None else f"{Decimal(nano_usd).scaleb(-9).normalize():f}"


def _as_json(differences: PriceDifferences, written: bool) -> dict[str, Any]:
    return {
        "written": written,
        "changes": [
            {
                "model": change.after.model,
                "source": change.after.source,
                "before": {"price_id": str(change.before.price_id), **dict(change.before.components())}
                if change.before
                else None,
                "after": dict(change.after.components()),
            }
            for change in differences.changes
        ],
        "unchanged": differences.unchanged,
        "not_listed": differences.not_listed,
    }


if __name__ == "__main__":
    main()
