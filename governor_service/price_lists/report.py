"""What a price list would change: as tables for people, and as JSON for programs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from governor_service.app.compare_prices import Comparison, Hours, PriceChange, variant_text
from governor_service.domain.price_comparison import Direction, RateChange
from governor_service.domain.pricing import Price
from governor_service.listings import EARLIEST, Listing

_WIDTH_WHEN_PIPED = 160
_LINES_SHOWN_MAX = 20

_COLOURS = {
    Direction.NEW: "green",
    Direction.DEARER: "red",
    # Holds get smaller: if the price is wrong, more is spent than was held.
    Direction.CHEAPER: "yellow",
    Direction.MIXED: "magenta",
}
_SHORT = {
    "input_tokens": "input",
    "cache_read_tokens": "cached",
    "cache_write_tokens": "cache write",
    "cache_write_1h_tokens": "cache write 1h",
    "output_tokens": "output",
    "output_reasoning_tokens": "reasoning",
    "requests": "request",
    "web_searches": "searches",
}
_MILLION = 10**6


def print_tables(comparison: Comparison) -> None:
    """In colour on a terminal. Otherwise without colour, in wide rows."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WHEN_PIPED, color_system=None)
    changed = [change for change in comparison.changes if change.direction is not Direction.NEW]
    new = [change for change in comparison.changes if change.direction is Direction.NEW]
    _print(console, "New prices, in USD", new)
    _print(console, "Changed prices, in USD", changed)
    _print(console, "Set by hand, and kept: the list's prices, in USD", comparison.kept)
    for title, lines in (
        ("No longer listed; they keep their price", comparison.not_listed),
        ("Not compared: the list contradicts tiers or fees of the price book", comparison.contradictory),
    ):
        if lines:
            console.print(f"[bold]{title}[/bold]: {escape(_some(lines))}", highlight=False)
    console.print(_summary(comparison), highlight=False)


def _print(console: Console, title: str, changes: Sequence[PriceChange]) -> None:
    if not changes:
        return
    table = Table("model", "", "from", "prices", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for change in changes:
        colour = _COLOURS[change.direction]
        marks = [change.direction.value]
        marks += ["unusual"] * change.is_unusual
        marks += ["was set by hand"] * change.was_set_by_hand
        table.add_row(
            escape(variant_text(change.model, change.price_context)),
            f"[{colour}]{', '.join(marks)}[/{colour}]",
            _begins(change),
            "\n".join(_line(at, rate) for at, rate in change.rates)
            if change.before
            else "; ".join(_line(at, rate) for at, rate in change.rates),
        )
    console.print(table)


def _begins(change: PriceChange) -> str:
    if change.effective_time is None:
        return "now"
    return "always" if change.effective_time == EARLIEST else f"{change.effective_time:%Y-%m-%d}"


def _some(lines: Sequence[str]) -> str:
    more = len(lines) - _LINES_SHOWN_MAX
    return ", ".join(lines[:_LINES_SHOWN_MAX]) + (
        f", and {more} others (--json names all)" if more > 0 else ""
    )


def _line(at: Hours, rate: RateChange) -> str:
    parts = [_SHORT.get(rate.unit, rate.unit)]
    if rate.per not in (1, _MILLION):
        parts.append(f"(for {rate.per:,})")
    if rate.input_tokens_above:
        parts.append(f"above {rate.input_tokens_above:,} input tokens")
    if at:
        parts.append(f"{at[0]:%H:%M} to {at[1]:%H:%M}")
    after = _usd(rate.after_nano_usd)
    if rate.before_nano_usd is None:
        return f"{' '.join(parts)} {after}"
    colour = "red" if rate.rises else "yellow"
    return f"{' '.join(parts)} [{colour}]{_usd(rate.before_nano_usd)} → {after}[/{colour}]"


def _summary(comparison: Comparison) -> str:
    """Counts versions, and the models that none is for."""
    counts = Counter(change.direction for change in comparison.changes)
    versions = ", ".join(f"{counts[direction]} {direction.value}" for direction in Direction)
    found = {
        "set by hand and kept": len(comparison.kept),
        "not compared": len(comparison.contradictory),
        "other names of models": len(comparison.alternate_names),
    }
    others = [f"{count} {what}" for what, count in found.items() if count]
    models = [
        f"{len(comparison.unchanged)} models unchanged",
        f"{len(comparison.not_listed)} no longer listed",
    ]
    return "; ".join([versions, ", ".join([*others, *models])])


def _usd(nano_usd: int) -> str:
    return f"{Decimal(nano_usd).scaleb(-9).normalize():f}"


def as_json(comparison: Comparison, *, is_written: bool) -> dict[str, Any]:
    """`before` and `after` are the prices of hours that have none of their own. `hours` has the others."""
    return {
        "written": is_written,
        "changes": [_change(change) for change in comparison.changes],
        "set_by_hand": [_change(change) for change in comparison.kept],
        "unchanged": comparison.unchanged,
        "not_listed": comparison.not_listed,
        "not_compared": comparison.contradictory,
        "alternate_names": comparison.alternate_names,
    }


def _change(change: PriceChange) -> dict[str, Any]:
    return {
        "model": change.model,
        "price_context": dict(change.price_context),
        "change": change.direction.value,
        "effective_time": change.effective_time and change.effective_time.isoformat(),
        "set_by_hand": change.was_set_by_hand,
        "unusual": change.is_unusual,
        "source": change.after[0].source,
        "before": _whole_day(change.before),
        "after": _whole_day(change.after),
        "hours": {"before": _by_hour(change.before), "after": _by_hour(change.after)},
    }


def _whole_day(rows: Iterable[Price | Listing]) -> dict[str, Any] | None:
    return next((_row(row) for row in rows if row.daily_start is None), None)


def _by_hour(rows: Iterable[Price | Listing]) -> list[dict[str, Any]]:
    return [
        {"daily_start": row.daily_start.isoformat(), "daily_end": row.daily_end.isoformat(), **_row(row)}
        for row in rows
        if row.daily_start is not None and row.daily_end is not None
    ]


def _row(row: Price | Listing) -> dict[str, Any]:
    version = {"price_id": str(row.price_id)} if isinstance(row, Price) else {}
    return {
        **version,
        "provider": row.provider,
        **dict(row.components()),
        "rates": [
            {
                "unit": rate.unit,
                "per": rate.per,
                "nano_usd": rate.nano_usd,
                "input_tokens_above": rate.input_tokens_above,
            }
            for rate in row.rates
        ],
    }
