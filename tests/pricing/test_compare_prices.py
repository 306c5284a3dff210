"""A comparison finds every version that would bring the price book to what a list says, and no other."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import pytest

from governor_service.app.compare_prices import Comparison, compare
from governor_service.domain.price_comparison import Direction
from governor_service.domain.pricing import Price, Rate
from governor_service.listings import EARLIEST, Listing, PriceList
from tests.pricing.price_book import day, in_book

NOW = day("2026-11-28")
BATCH = {"processing": "batch"}


def listing(input_usd: int = 2, **changes: Any) -> Listing:
    """A model at so many USD for a million input tokens, and 10 for output tokens."""
    fields: dict[str, Any] = {
        "model": "vendor/model",
        "provider": "vendor",
        "source": "genai-prices 1: vendor model",
        "effective_time": EARLIEST,
        "input_nano_usd_per_mtok": input_usd * 10**9,
        "output_nano_usd_per_mtok": 10 * 10**9,
    }
    return Listing(**(fields | changes))


def by_hand(input_usd: int = 2, **changes: Any) -> list[Price]:
    return in_book([listing(input_usd, **changes, provider="")], author="anonymous")


def compared(book: list[Price], *listed: Listing, **changes: Any) -> Comparison:
    return compare(book, {}, PriceList(source="genai-prices 2", listings=listed), NOW, **changes)


def versions(found: Comparison) -> list[tuple[str, datetime | None, int]]:
    """What each change does, from when on, and the new price of input in USD."""
    return [
        (change.direction.value, change.effective_time, change.after[0].input_nano_usd_per_mtok // 10**9)
        for change in found.changes
    ]


def dated(input_usd: int, date: str, **changes: Any) -> Listing:
    return listing(input_usd, effective_time=day(date), **changes)


@pytest.mark.parametrize(
    ("book", "listed", "expected"),
    [
        pytest.param([listing()], [listing()], [], id="the same"),
        pytest.param(
            [listing()],
            [listing(cached_input_nano_usd_per_mtok=2 * 10**9)],
            [],
            id="the same, said otherwise",
        ),
        pytest.param([listing()], [listing(3)], [("dearer", None, 3)], id="dearer from now on"),
        pytest.param([listing()], [listing(1)], [("cheaper", None, 1)], id="cheaper"),
        pytest.param(
            [listing()],
            [listing(3, output_nano_usd_per_mtok=9 * 10**9)],
            [("dearer and cheaper", None, 3)],
            id="both",
        ),
        pytest.param(
            [listing()],
            [listing(), dated(3, "2026-11-01"), dated(4, "2026-12-01")],
            [("dearer", None, 3), ("dearer", day("2026-12-01"), 4)],
            id="a version that has begun counts from now on, a later one from its time on",
        ),
        pytest.param(
            [],
            [listing(), dated(3, "2026-11-01"), dated(4, "2026-12-01")],
            [("new", EARLIEST, 2), ("new", day("2026-11-01"), 3), ("new", day("2026-12-01"), 4)],
            id="nothing was priced: the past is filled too",
        ),
        pytest.param(
            [listing(), dated(4, "2026-12-01")],
            [listing(), dated(5, "2026-12-01")],
            [("dearer", day("2026-12-01"), 5)],
            id="a later version is corrected",
        ),
        pytest.param(
            [listing(), dated(4, "2026-12-01")],
            [listing(), dated(4, "2027-01-01")],
            [("cheaper", day("2026-12-01"), 2), ("dearer", day("2027-01-01"), 4)],
            id="a later version is put off",
        ),
        pytest.param(
            [listing()],
            [listing(), listing(1, price_context=BATCH)],
            [("new", None, 1)],
            id="a variant of a priced model is new from now on",
        ),
        pytest.param(
            [listing()],
            [
                listing(
                    rates=(Rate(unit="input_tokens", per=10**6, nano_usd=4 * 10**9, input_tokens_above=9),)
                )
            ],
            [("dearer", None, 2)],
            id="a tier",
        ),
        pytest.param(
            [listing()],
            [listing(rates=(Rate(unit="web_searches", per=1000, nano_usd=10**10),))],
            [("dearer", None, 2)],
            id="another unit",
        ),
        pytest.param(
            [listing()],
            [listing(), listing(1, daily_start=time(22), daily_end=time(2))],
            [("cheaper", None, 2)],
            id="some hours",
        ),
    ],
)
def test_versions(
    book: list[Listing], listed: list[Listing], expected: list[tuple[str, datetime | None, int]]
) -> None:
    """What is new, dearer or cheaper, and from when on."""
    assert versions(compared(in_book(book), *listed)) == expected


def test_what_a_change_says() -> None:
    """Each unit, size of call and hour that costs something else is named once."""
    tier = Rate(unit="input_tokens", per=10**6, nano_usd=4 * 10**9, input_tokens_above=200_000)
    (change,) = compared(
        in_book([listing()]),
        listing(3, rates=(tier,)),
        listing(1, rates=(tier,), daily_start=time(22), daily_end=time(2)),
    ).changes
    assert [
        (at, rate.unit, rate.input_tokens_above, rate.before_nano_usd, rate.after_nano_usd)
        for at, rate in change.rates
    ] == [
        (None, "input_tokens", 0, 2 * 10**9, 3 * 10**9),
        (None, "input_tokens", 200_000, 2 * 10**9, 4 * 10**9),
        ((time(22), time(2)), "input_tokens", 0, 2 * 10**9, 10**9),
    ]
    assert change.direction is Direction.MIXED


def test_what_differs_for_all_sizes_is_said_once() -> None:
    """A tier of the output says nothing of the input."""
    tier = Rate(unit="output_tokens", per=10**6, nano_usd=4 * 10**9, input_tokens_above=200_000)
    (change,) = compared(in_book([listing(rates=(tier,))]), listing(3, rates=(tier,))).changes
    assert [(rate.unit, rate.input_tokens_above) for _, rate in change.rates] == [("input_tokens", 0)]


def test_what_was_set_by_hand_is_kept() -> None:
    """It is shown beside what the list says, and replaced only on request."""
    book = by_hand(7)
    found = compared(book, listing())
    assert not found.changes
    assert [(change.before, change.after) for change in found.kept] == [(tuple(book), (listing(),))]
    assert versions(compared(book, listing(), replaces_hand_set=True)) == [("cheaper", None, 2)]


def test_a_variant_does_not_slip_under_what_was_set_by_hand() -> None:
    """A call of a variant without a price costs what was set by hand, and its own price would change that."""
    found = compared(by_hand(7), listing(7), listing(1, price_context=BATCH))
    assert not found.changes
    assert [change.price_context for change in found.kept] == [BATCH]


def test_a_price_set_by_hand_for_later_is_kept() -> None:
    """Until then the list counts."""
    book = [*in_book([listing()]), *by_hand(7, effective_time=day("2026-12-01"))]
    found = compared(book, listing(3), dated(4, "2027-01-01"))
    assert versions(found) == [("dearer", None, 3)]
    assert [change.effective_time for change in found.kept] == [day("2026-12-01"), day("2027-01-01")]


def test_prices_of_earlier_releases_are_not_set_by_hand() -> None:
    """They name no provider; their authors tell them from an operator's."""
    for author in ("price list shipped", "root, importing genai-prices"):
        book = in_book([listing(provider="")], author=author)
        assert versions(compared(book, listing(3))) == [("dearer", None, 3)]


def test_what_is_not_listed_any_more() -> None:
    """It is named, variants too, and keeps its price. What came from elsewhere is not meant."""
    elsewhere = listing(model="vendor/live", source="openrouter: https://openrouter.ai/api/v1/models")
    gone = [listing(model="vendor/gone"), listing(1, price_context=BATCH), elsewhere]
    found = compared([*in_book([listing(), *gone]), *by_hand(model="vendor/own")], listing())
    assert not found.changes
    assert found.not_listed == ("vendor/gone", "vendor/model processing=batch")
    assert found.unchanged == ("vendor/model",)


def test_a_model_that_the_list_has_under_another_name() -> None:
    """A price under the other name would hide the listed one, so it follows the listed one."""
    price_list = PriceList(
        source="genai-prices 2", listings=[listing(3)], alternate_names={"vendor/old-name": "vendor/model"}
    )
    found = compare(in_book([listing(), listing(model="vendor/old-name")]), {}, price_list, NOW)
    assert [change.model for change in found.changes] == ["vendor/model", "vendor/old-name"]
    assert found.not_listed == ()
    assert found.alternate_names == price_list.alternate_names
    assert not compare([], price_list.alternate_names, price_list, NOW).alternate_names


def test_unusual() -> None:
    """More than ten times dearer or cheaper than until now."""
    assert [change.is_unusual for change in compared(in_book([listing()]), listing(21)).changes] == [True]
    assert [change.is_unusual for change in compared(in_book([listing()]), listing(20)).changes] == [False]
    assert not any(change.is_unusual for change in compared([], listing(21)).changes)
