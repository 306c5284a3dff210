"""Compares the price book with a price list: which versions would bring the book to what the list says.

- Prices are compared from now on, with every later version of either side. The past stays as it was rated.
- A model that has no price gets all versions of the list, also for the past: nothing was priced then.
- What an operator set by hand is kept, unless `replaces_hand_set`. It also stands for a variant that the book
  has no price for: a call of that variant costs what was set by hand.
- A version in the book that has not begun, and that the list does not have, is superseded by the list's price
  of that time.
- A model of the book that the list has under another name gets the listed model's price, under its own name.
- A partial list is compared with what is in force now, in what it states (`openrouter_listings.completed`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from functools import cached_property
from itertools import combinations
from typing import Generic, TypeAlias, TypeVar

from governor_service.domain.price_comparison import Direction, RateChange, direction_of, rate_changes
from governor_service.domain.price_lists import is_set_by_hand
from governor_service.domain.pricing import Price
from governor_service.domain.unusual_prices import unusual_rates
from governor_service.listings import EARLIEST, Listing, PriceList
from governor_service.listings.genai_prices_listings import listed_price
from governor_service.listings.naming import OPENROUTER
from governor_service.listings.openrouter_listings import SOURCE_PREFIX, completed

Hours: TypeAlias = tuple[time, time] | None
"""A part of the day; None: all of the day that has no price of its own."""

_Row: TypeAlias = Price | Listing
_Variant: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A model and a price_context."""
T = TypeVar("T", bound=Price | Listing)


@dataclass(frozen=True)
class PriceChange:
    """A version that the list has and the book has not: what costs what from `effective_time` on (None: from
    when it is written). Both sides have a row for each part of the day that has a price of its own.

    `before` is empty if nothing was priced.
    """

    effective_time: datetime | None
    before: tuple[_Row, ...]
    after: tuple[Listing, ...]

    @property
    def model(self) -> str:
        return self.after[0].model

    @property
    def price_context(self) -> Mapping[str, str]:
        return self.after[0].price_context

    @property
    def was_set_by_hand(self) -> bool:
        return any(isinstance(row, Price) and is_set_by_hand(row) for row in self.before)

    @cached_property
    def rates(self) -> list[tuple[Hours, RateChange]]:
        """What differs. An hour's price is compared with what was in force at that hour."""
        all_day = [(None, change) for change in _rate_changes(self.before, self.after, None)]
        hours = dict.fromkeys(_hours(row) for row in (*self.after, *self.before))
        return all_day + [
            (at, change)
            for at in hours
            if at is not None
            for change in _rate_changes(self.before, self.after, at)
            if (None, change) not in all_day
        ]

    @property
    def direction(self) -> Direction:
        return direction_of([change for _, change in self.rates])

    @property
    def is_unusual(self) -> bool:
        """Whether a rate is more than ten times dearer or cheaper than before, and than the installed
        genai-prices says."""
        listed = listed_price(self.model, self.price_context)
        return any(
            any(unusual_rates(row, [_at_hours(self.before, _hours(row))]))
            and (listed is None or any(unusual_rates(row, [listed])))
            for row in self.after
        )


@dataclass(frozen=True)
class Comparison:
    """What the list would change. All by model, and by time."""

    changes: tuple[PriceChange, ...]
    kept: tuple[PriceChange, ...]
    """What differs from the list because it was set by hand."""
    unchanged: tuple[str, ...]
    not_listed: tuple[str, ...]
    """Models and variants whose price came from such a list, and that it does not have: they keep it."""
    contradictory: tuple[str, ...]
    """Models of which a partial list and the book say what cannot both be. They keep their price."""
    alternate_names: Mapping[str, str]
    """Other names of models that are new, or mean another model."""


def compare(
    book: Sequence[Price],
    alternate_names: Mapping[str, str],
    price_list: PriceList,
    now: datetime,
    *,
    replaces_hand_set: bool = False,
) -> Comparison:
    """What the list would change. The book's prices are in order of time."""
    ours = _timelines(book)
    nothing: _Timeline[Price] = _Timeline()
    listed, contradictory = _complete(price_list, ours, now)
    theirs = _timelines(listed)
    priced = {model for (model, _), timeline in ours.items() if timeline.at(now)}
    changes: list[PriceChange] = []
    kept: list[PriceChange] = []
    for variant in sorted(theirs):
        timeline, own = theirs[variant], ours.get(variant, nothing)
        before: tuple[_Row, ...] = ()
        if variant[0] in priced:
            starts = {now}
            before = own.at(now) or _set_by_hand_instead(ours, variant, now)
        else:
            starts = {start for start in timeline.starts if start <= now}
        if not price_list.is_partial:
            starts |= {start for start in {*timeline.starts, *own.starts} if start > now}
        for start in sorted(starts):
            before = own.beginning_at(start) or before
            after = timeline.at(start)
            change = PriceChange(start if start != now else None, before, after)
            if after and change.rates:
                if change.was_set_by_hand and not replaces_hand_set:
                    kept.append(change)
                else:
                    changes.append(change)
                    # All versions of what the book does not have are new.
                    before = after if own.starts else before
    differing = {change.model for change in (*changes, *kept)}
    stated = _timelines([*listed, *price_list.listings]).keys()
    return Comparison(
        changes=tuple(changes),
        kept=tuple(kept),
        unchanged=tuple(sorted({model for model, _ in stated} - differing - {*contradictory})),
        not_listed=tuple(_not_listed(ours, stated, now, is_partial=price_list.is_partial)),
        contradictory=tuple(contradictory),
        alternate_names={
            name: model
            for name, model in price_list.alternate_names.items()
            if alternate_names.get(name) != model
        },
    )


def variant_text(model: str, price_context: Mapping[str, str]) -> str:
    """A model and its variant on one line."""
    return " ".join([model, *(f"{key}={value}" for key, value in sorted(price_context.items()))])


class _Timeline(Generic[T]):
    """The versions of one variant of a model, by time. A version has a row for each part of the day that it
    distinguishes."""

    def __init__(self) -> None:
        self._versions: dict[datetime, tuple[T, ...]] = {}

    def add(self, row: T) -> None:
        """Rows are added in order of time."""
        start = row.effective_time or EARLIEST
        self._versions[start] = (*self._versions.get(start, ()), row)

    @property
    def starts(self) -> Iterable[datetime]:
        return self._versions.keys()

    def beginning_at(self, start: datetime) -> tuple[T, ...]:
        """Empty if no version begins then."""
        return self._versions.get(start, ())

    def at(self, moment: datetime) -> tuple[T, ...]:
        """The version in force; empty if none has begun."""
        begun = [start for start in self._versions if start <= moment]
        return self._versions[begun[-1]] if begun else ()


def _timelines(rows: Iterable[T]) -> dict[_Variant, _Timeline[T]]:
    found: dict[_Variant, _Timeline[T]] = {}
    for row in rows:
        variant = row.model, tuple(sorted(row.price_context.items()))
        found.setdefault(variant, _Timeline()).add(row)
    return found


def _complete(
    price_list: PriceList, ours: Mapping[_Variant, _Timeline[Price]], now: datetime
) -> tuple[list[Listing], list[str]]:
    """What is to be compared, and the models of which the list and the book contradict each other."""
    if not price_list.is_partial:
        names = defaultdict(list)
        for name in {model for model, _ in ours} & price_list.alternate_names.keys():
            names[price_list.alternate_names[name]].append(name)
        return [
            replace(listing, model=name)
            for listing in price_list.listings
            for name in (listing.model, *names.get(listing.model, ()))
        ], []
    listed: list[Listing] = []
    contradictory: list[str] = []
    for listing in price_list.listings:
        own = ours.get((listing.model, ()))
        try:
            if whole := completed(listing, own.at(now) if own else ()):
                listed.append(whole)
        except ValueError:
            contradictory.append(listing.model)
    return listed, contradictory


def _set_by_hand_instead(
    ours: Mapping[_Variant, _Timeline[Price]], variant: _Variant, now: datetime
) -> tuple[Price, ...]:
    """What a call of a variant costs that has no price of its own, if that was set by hand; else empty."""
    model, context = variant
    for size in range(len(context) - 1, -1, -1):
        for contained in combinations(context, size):
            own = ours.get((model, contained))
            if own and (rows := own.at(now)):
                return rows if any(map(is_set_by_hand, rows)) else ()
    return ()


def _not_listed(
    ours: Mapping[_Variant, _Timeline[Price]],
    stated: Collection[_Variant],
    now: datetime,
    *,
    is_partial: bool,
) -> Iterator[str]:
    for variant in sorted(ours.keys() - {*stated}):
        model, context = variant
        for row in ours[variant].at(now)[:1]:
            if is_partial:
                is_from_such = row.provider == OPENROUTER and not context
            else:
                is_from_such = not row.source.startswith(SOURCE_PREFIX)
            if is_from_such and not is_set_by_hand(row):
                yield variant_text(model, row.price_context)


def _hours(row: _Row) -> Hours:
    return (row.daily_start, row.daily_end) if row.daily_start and row.daily_end else None


def _at_hours(rows: Sequence[_Row], hours: Hours) -> _Row | None:
    """The row for these hours, or the one for all hours that have none of their own."""
    by_hours = {_hours(row): row for row in rows}
    return by_hours.get(hours) or by_hours.get(None)


def _rate_changes(before: Sequence[_Row], after: Sequence[_Row], hours: Hours) -> list[RateChange]:
    new = _at_hours(after, hours)
    return rate_changes(_at_hours(before, hours), new) if new else []
