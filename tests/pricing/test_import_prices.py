"""The command shows what a price list would change, and writes it on request: all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from governor_service.app.import_prices import compare_price_list, write_changes
from governor_service.listings import EARLIEST, Listing, PriceList, openrouter_listings
from governor_service.listings.genai_prices_listings import PACKAGE, package_list
from governor_service.store.prices import price_at_time
from service_chassis.refusal import Refusal
from tests.pricing.openrouter_answers import answer
from tests.pricing.price_book import Book, day
from workflow_service.simulator import Simulator

SONAR, MINI = "perplexity/sonar", "openai/gpt-4o-mini"
Saved: TypeAlias = Callable[..., tuple[str, ...]]
_RATES: dict[str, Any] = {"input_nano_usd_per_mtok": 10**9, "output_nano_usd_per_mtok": 10**9}
_DEARER_SONAR = (SONAR, {"prompt": "1e-6", "completion": "3e-6", "request": "0.012"})


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Saves an answer of OpenRouter's, and gives the arguments that name it."""
    file = tmp_path / "models.json"

    def save(*models: tuple[str, dict[str, str]]) -> tuple[str, ...]:
        file.write_text(answer(*models))
        return "openrouter", "--file", str(file)

    return save


async def _set_by_hand(book: Book, model: str = SONAR) -> None:
    await book.sql(
        """
        INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, output_nano_usd_per_mtok, source,
            author)
        VALUES ($1, '2026-01-01Z', 7000000000, 7000000000, 'contract 12', 'anonymous')
        """,
        model,
    )


@pytest.mark.parametrize("command", ["compare", "import"])
async def test_nothing_is_written_unasked(book: Book, saved: Saved, command: str) -> None:
    """Without a confirmation by a person or --yes the differences are only shown: the list is not in use."""
    arguments = (command, *saved(_DEARER_SONAR))
    before, checks = await book.rows(), await book.checks()
    ran = await book.run(*arguments)
    assert ran.exit_code == 0
    assert "output 2 → 3" in ran.stdout
    assert "request 0 → 0.012" in ran.stdout
    assert "0 new, 1 dearer, 0 cheaper" in ran.stdout
    assert "nothing was written" in ran.stdout
    shown = (await book.run(*arguments, "--json")).json
    assert not shown["written"]
    (change,) = shown["changes"]
    assert (change["model"], change["change"], change["effective_time"]) == (SONAR, "dearer", None)
    assert change["before"]["output_nano_usd_per_mtok"] == 2_000_000_000
    assert change["after"]["output_nano_usd_per_mtok"] == 3_000_000_000
    assert change["after"]["request_nano_usd"] == 12_000_000
    assert await book.rows() == before
    assert await book.checks() == checks


async def test_versions_are_written_for_what_changed_alone(book: Book, saved: Saved) -> None:
    """A changed model gets a version from now on, a new one from the beginning; the others get none.

    A second run has nothing to do, and records that.
    """
    listed_models = saved(
        (SONAR, {"prompt": "1e-6", "completion": "3e-6"}),
        # An equal price in another form: cached input at the price of input.
        (MINI, {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.00000015"}),
        ("vendor/new", {"prompt": "1e-6", "completion": "1e-6"}),
    )
    arguments = ("import", *listed_models, "--json", "--yes")
    before = await book.rows()
    shown = (await book.run(*arguments)).json
    assert shown["written"]
    assert [(change["model"], change["change"]) for change in shown["changes"]] == [
        (SONAR, "dearer"),
        ("vendor/new", "new"),
    ]
    assert shown["unchanged"] == [MINI]
    sonar, new = [row for row in await book.rows() if row not in before]
    assert sonar["model"] == SONAR
    assert before[0]["create_time"] < sonar["effective_time"] <= sonar["create_time"]
    assert (new["model"], new["effective_time"]) == ("vendor/new", EARLIEST)
    for row in sonar, new:
        assert row["source"] == "openrouter: models.json"
        assert row["author"].endswith(", importing openrouter")
    again = (await book.run(*arguments)).json
    assert (again["changes"], again["written"]) == ([], False)
    assert await book.checks() == [
        ("the document", 5),
        ("openrouter: models.json", 2),
        ("openrouter: models.json", 0),
    ]


async def test_the_simulators_models_are_read_over_http(book: Book) -> None:
    """The prices are the same from --url and from OPENROUTER_BASE_URL."""
    async with Simulator() as simulator:
        by_url = await book.run("compare", "openrouter", "--url", f"{simulator.base_url}/models", "--json")
        by_base = await book.run(
            "import", "openrouter", "--json", "--yes", OPENROUTER_BASE_URL=simulator.base_url
        )
    assert by_url.json["changes"] == by_base.json["changes"]
    assert by_base.json["written"]
    (sonar,) = [change for change in by_base.json["changes"] if change["model"] == SONAR]
    assert sonar["after"]["request_nano_usd"] == 12_000_000
    assert sonar["after"]["output_nano_usd_per_mtok"] == 1_000_000_000


async def test_genai_prices_are_imported(book: Book) -> None:
    """The whole package: every version, variant and tier, and the other names of its models."""
    shown = (await book.run("import", "genai-prices", "--json", "--yes")).json
    listed = package_list()
    # The document's models are priced from now on; the past of all others is filled.
    written = {(row["model"], row["effective_time"]) for row in await book.rows()}
    assert written >= {
        (listing.model, listing.effective_time)
        for listing in listed.listings
        if listing.model not in shown["not_listed"] and listing.model not in (SONAR, MINI)
        if not listing.model.startswith(("x-ai/grok-4-fast", "z-ai/glm-"))
    }
    names = await book.sql("SELECT name, model FROM alternate_names")
    assert {row["name"]: row["model"] for row in names} == listed.alternate_names == shown["alternate_names"]
    assert (await book.checks())[-1] == (PACKAGE, len(shown["changes"]))
    # It is what the command compares when it is not told.
    again = (await book.run("--json")).json
    assert (again["changes"], again["alternate_names"], again["written"]) == ([], {}, False)
    assert len(again["unchanged"]) == len({listing.model for listing in listed.listings})
    assert (await book.checks())[-1] == (PACKAGE, 0)


async def test_openrouter_does_not_wipe_what_it_does_not_state(book: Book, saved: Saved) -> None:
    """Variants, fees and tiers of the package outlive an import of OpenRouter's prices."""
    await book.run("import", "--yes")
    before = await book.rows()
    listed_models = saved(
        # Its own listing lacks Perplexity's fee.
        (SONAR, {"prompt": "1e-6", "completion": "1e-6"}),
        # 0.2 and 0.5 USD, and twice that above 128,000 tokens.
        (
            "x-ai/grok-4-fast",
            {"prompt": "1e-7", "completion": "5e-7", "input_cache_read": "5e-8"},
        ),
    )
    shown = (await book.run("import", *listed_models, "--json", "--yes")).json
    (grok,) = shown["changes"]
    assert shown["unchanged"] == [SONAR]
    assert (grok["model"], grok["change"]) == ("x-ai/grok-4-fast", "cheaper")
    assert grok["after"]["rates"] == grok["before"]["rates"] != []
    assert [row["model"] for row in await book.rows() if row not in before] == ["x-ai/grok-4-fast"]


async def test_what_was_set_by_hand_is_kept(book: Book, saved: Saved) -> None:
    """It is shown, and replaced only with --replace-hand-set."""
    await _set_by_hand(book)
    arguments = ("import", *saved(_DEARER_SONAR), "--yes")
    before = await book.rows()
    ran = await book.run(*arguments)
    assert "Set by hand, and kept" in ran.stdout
    assert "1 set by hand and kept" in ran.stdout
    shown = (await book.run(*arguments, "--json")).json
    assert ([change["model"] for change in shown["set_by_hand"]], shown["written"]) == ([SONAR], False)
    assert await book.rows() == before
    shown = (await book.run(*arguments, "--json", "--replace-hand-set")).json
    assert ([change["set_by_hand"] for change in shown["changes"]], shown["written"]) == ([True], True)


async def test_unusual_prices_are_refused(book: Book, saved: Saved) -> None:
    """A price more than ten times dearer or cheaper is written only with --allow-unusual."""
    mistyped = (SONAR, {"prompt": "1e-12", "completion": "2e-6"})
    arguments = ("import", *saved(mistyped, ("vendor/new", _DEARER_SONAR[1])), "--yes")
    before = await book.rows()
    ran = await book.run(*arguments, "--json")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.startswith("nothing was written: 1 of the prices are more than ten times")
    assert SONAR in ran.stderr
    assert await book.rows() == before
    assert (await book.run(*arguments, "--json", "--allow-unusual")).json["written"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "openrouter", "--file", "/nonexistent.json", "--yes"),
        ("import", "openrouter", "--url", "http://127.0.0.1:1/models", "--yes"),
        ("import", "genai-prices", "--file", "models.json", "--yes"),
        ("compare", "genai-prices", "--yes"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_line(book: Book, arguments: tuple[str, ...]) -> None:
    """An unreadable source gives an exit code and one line, no stack trace, and nothing is written."""
    before = await book.rows()
    ran = await book.run(*arguments)
    assert ran.exit_code == 1
    assert ran.stderr.startswith("nothing was written: ")
    assert ran.stderr.count("\n") == 1
    assert await book.rows() == before


async def test_all_versions_or_none(book: Book) -> None:
    """If one price has changed since the differences were shown, none is written."""

    def stating(*models: tuple[str, dict[str, str]]) -> PriceList:
        listings = openrouter_listings.listings(answer(*models), source="test")
        return PriceList(source="test", listings=listings, is_partial=True)

    mini = (MINI, {"prompt": "1e-6", "completion": "1e-6"})
    both = stating(mini, (SONAR, {"prompt": "5e-6", "completion": "5e-6"}))
    stale = await compare_price_list(book.database, both, replaces_hand_set=False)
    other = stating((SONAR, {"prompt": "4e-6", "completion": "4e-6"}))
    theirs = await compare_price_list(book.database, other, replaces_hand_set=False)
    await write_changes(book.database, other, theirs, author="somebody else", replaces_hand_set=False)
    before = await book.rows()
    with pytest.raises(Refusal, match=SONAR) as caught:
        await write_changes(book.database, both, stale, author="test", replaces_hand_set=False)
    assert caught.value.reason == "STATE_CONFLICT"
    assert await book.rows() == before


async def test_a_correction_of_a_later_version(book: Book) -> None:
    """A version that has not begun is superseded as of its own time, with all its hours."""

    def list_of(*later: Listing) -> PriceList:
        first = Listing(model="a/b", source="genai-prices 1", effective_time=EARLIEST, **_RATES)
        return PriceList(source="genai-prices 1", listings=[first, *later])

    def later(output_usd: int, **changes: Any) -> Listing:
        rates = _RATES | {"output_nano_usd_per_mtok": output_usd * 10**9}
        return Listing(
            model="a/b", source="genai-prices 1", effective_time=day("2999-01-01"), **rates, **changes
        )

    night = {"daily_start": time(22), "daily_end": time(2)}
    for price_list, at_1, at_2, at_12 in (
        (list_of(later(5), later(4, **night)), 4, 5, 5),
        (list_of(later(7), later(6, **night)), 6, 7, 7),
        (list_of(later(7), later(6, **night), later(5, daily_start=time(2), daily_end=time(3))), 6, 5, 7),
        (list_of(later(8)), 8, 8, 8),
    ):
        found = await compare_price_list(book.database, price_list, replaces_hand_set=False)
        await write_changes(
            book.database, price_list, found, author="root, importing genai-prices", replaces_hand_set=False
        )
        again = await compare_price_list(book.database, price_list, replaces_hand_set=False)
        assert (again.changes, again.unchanged) == ((), ("a/b",))
        async with book.database.read() as connection:
            for hour, output_usd in ((1, at_1), (2, at_2), (12, at_12)):
                moment = day("2999-01-01").replace(hour=hour)
                price = await price_at_time(connection, "a/b", {}, moment)
                assert price is not None
                assert price.output_nano_usd_per_mtok == output_usd * 10**9
