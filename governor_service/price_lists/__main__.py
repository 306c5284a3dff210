"""Compares the price book of GOVERNOR_DATABASE_URL with a price list, and updates it.

    python -m governor_service.price_lists compare genai-prices
    python -m governor_service.price_lists compare openrouter [--file models.json | --url URL]

show what the installed package, or OpenRouter, would change: what is new, dearer, cheaper or no longer
listed, now and at later dates. Without arguments, the command compares genai-prices. `import` in place of
`compare` writes the changes after a yes (or with --yes), all or none. Each version takes effect when the list
says; where that has passed, at once. Models that had no price get it for the past too.

Prices that were set by hand are shown and kept, unless --replace-hand-set is given. OpenRouter does not state
tiers, variants, later prices and most fees: what the price book has of these stays.
"""

import asyncio
import json
import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from getpass import getuser
from pathlib import Path

import asyncpg
import httpx
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from governor_service.app.compare_prices import Comparison
from governor_service.app.import_prices import compare_price_list, record_comparison, write_changes
from governor_service.app.watch_price_list import last_price_list_check
from governor_service.domain.price_lists import author_of_import
from governor_service.listings import PriceList
from governor_service.listings.genai_prices_listings import package_list
from governor_service.listings.openrouter_listings import SOURCE_PREFIX, listings
from governor_service.price_lists.report import as_json, print_tables
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
_SOURCE_LENGTH_MAX = 1024
_SHOWN_UNUSUAL_MAX = 5


class PriceListSettings(DatabaseSettings):
    """The governor's own database settings, and where OpenRouter lists its prices."""

    model_config = SettingsConfigDict(env_prefix="GOVERNOR_")

    openrouter_base_url: HttpUrl = Field(
        default="https://openrouter.ai/api/v1", validation_alias="OPENROUTER_BASE_URL"
    )


def main() -> None:
    arguments = _parser().parse_args()
    try:
        asyncio.run(_run(arguments))
    except (Refusal, ValueError, OSError, asyncpg.PostgresError, httpx.HTTPError) as error:
        sys.exit(f"nothing was written: {error or type(error).__name__}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _parser() -> CommandLine:
    parser = CommandLine(
        prog="python -m governor_service.price_lists",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["compare", "import"], default="compare")
    parser.add_argument("seller", nargs="?", choices=["genai-prices", "openrouter"], default="genai-prices")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", type=Path, help="openrouter: a saved answer of GET /models")
    source.add_argument("--url", help="openrouter: where to get it (default: $OPENROUTER_BASE_URL/models)")
    parser.add_argument("--json", action="store_true", help="show the differences as JSON, and do not ask")
    parser.add_argument("--yes", action="store_true", help="import: write without asking")
    parser.add_argument(
        "--replace-hand-set", action="store_true", help="also change prices that were set by hand"
    )
    parser.add_argument(
        "--allow-unusual", action="store_true", help="also write prices ten times dearer or cheaper than now"
    )
    return parser


async def _run(arguments: Namespace) -> None:
    if arguments.yes and arguments.command != "import":
        raise ValueError("--yes is for import: compare writes nothing")
    settings = load_settings(PriceListSettings)
    if settings.database_url is None:
        refuse_setting("GOVERNOR_DATABASE_URL", "is not set")
    price_list = await _price_list(arguments, settings)
    with database_of("GOVERNOR_DATABASE_URL"):
        database = await Database.open(
            settings.database_url.get_secret_value(), settings, application_name="governor_price_lists"
        )
    try:
        await _compare(arguments, database, price_list)
        await _warn_if_old(database)
    finally:
        await database.close()


async def _compare(arguments: Namespace, database: Database, price_list: PriceList) -> None:
    """Shows what differs, and writes it where that is asked for."""
    replaces_hand_set = arguments.replace_hand_set
    found = await compare_price_list(database, price_list, replaces_hand_set=replaces_hand_set)
    if not arguments.json:
        print_tables(found)
    author = author_of_import(_user(), arguments.seller)
    is_written = False
    if not (found.changes or found.alternate_names):
        await record_comparison(database, price_list, author=author)
    elif arguments.command == "import" and _is_confirmed(arguments, found):
        await write_changes(database, price_list, found, author=author, replaces_hand_set=replaces_hand_set)
        is_written = True
    if arguments.json:
        json.dump(as_json(found, is_written=is_written), sys.stdout, indent=2)
        print()
    elif found.changes or found.alternate_names:
        print(f"{len(found.changes)} versions written" if is_written else "nothing was written")


async def _price_list(arguments: Namespace, settings: PriceListSettings) -> PriceList:
    if arguments.seller == "genai-prices":
        if arguments.file or arguments.url:
            raise ValueError("--file and --url are for openrouter: genai-prices is an installed package")
        return package_list()
    if arguments.file:
        answer, place = arguments.file.read_bytes(), arguments.file.name
    else:
        place = arguments.url or f"{settings.openrouter_base_url}/models"
        # httpx alone bounds each read, not all of them together.
        async with asyncio.timeout(_FETCH_TIMEOUT_SECONDS), httpx.AsyncClient() as client:
            answer = (await client.get(place)).raise_for_status().content
    source = f"{SOURCE_PREFIX}{place}"[:_SOURCE_LENGTH_MAX]
    return PriceList(source=source, listings=listings(answer, source=source), is_partial=True)


async def _warn_if_old(database: Database) -> None:
    check = await last_price_list_check(database)
    if check is None:
        print("warning: the price book was never compared with a price list", file=sys.stderr)
    elif check.is_old:
        print(
            f"warning: the price list in use, {check.source}, is {check.age.days} days old: "
            "import a newer version of genai-prices, or OpenRouter's prices",
            file=sys.stderr,
        )


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


def _is_confirmed(arguments: Namespace, found: Comparison) -> bool:
    """Without --yes a person is asked. Without a terminal the answer is no.

    Raises ValueError if a price is probably mistyped.
    """
    if not arguments.yes and (arguments.json or not sys.stdin.isatty()):
        return False
    unusual = [change.model for change in found.changes if change.is_unusual]
    if unusual and not arguments.allow_unusual:
        some = ", ".join([*unusual[:_SHOWN_UNUSUAL_MAX], *["…"] * (len(unusual) > _SHOWN_UNUSUAL_MAX)])
        raise ValueError(
            f"{len(unusual)} of the prices are more than ten times dearer or cheaper than now ({some}): "
            "check them, and use --allow-unusual if they are right"
        )
    return arguments.yes or input("Write these versions? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    main()
