"""The price in force: by variant, then by time, then by hours of the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from service_chassis.postgres.database import Connection, Database

Context = tuple[tuple[str, str], ...]

DAYS = [datetime(2026, 1, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (0, 9)]
HOURS = [time(hour) for hour in (0, 6, 9, 12, 18)]
CONTEXTS: list[Context] = [
    (),
    (("processing", "batch"),),
    (("processing", "flex"),),
    (("processing", "batch"), ("size", "large")),
    (("processing", "batch"), ("region", "eu"), ("size", "large")),
]


@dataclass(frozen=True)
class Version:
    """A version of one model's price. `hours` None: the whole day."""

    context: Context
    begins: datetime
    revision: int
    hours: tuple[time, time] | None

    def is_for(self, context: Context, at: datetime) -> bool:
        return set(self.context) <= set(context) and self.begins <= at and self._is_at_this_hour(at.time())

    def _is_at_this_hour(self, now: time) -> bool:
        if self.hours is None:
            return True
        start, end = self.hours
        return start <= now < end if start < end else now >= start or now < end


def in_force(versions: list[Version], context: Context, at: datetime) -> Version | None:
    """The variant with the most keys; of its versions the latest; then the last revision; then one for these
    hours."""
    return max(
        (version for version in versions if version.is_for(context, at)),
        key=lambda version: (
            len(version.context),
            version.begins,
            version.revision,
            version.hours is not None,
        ),
        default=None,
    )


@st.composite
def books(draw: st.DrawFn) -> list[Version]:
    """Versions of one model. Of those with one variant, time and revision, no two have hours that overlap."""
    made: dict[tuple[Context, datetime, int], list[tuple[time, time] | None]] = {}
    for _ in range(draw(st.integers(0, 12))):
        key = draw(st.sampled_from(CONTEXTS)), draw(st.sampled_from(DAYS)), draw(st.integers(1, 2))
        start, end = draw(st.lists(st.sampled_from(HOURS), min_size=2, max_size=2, unique=True))
        hours = draw(st.none() | st.just((start, end)))
        of_these = made.setdefault(key, [])
        if hours not in of_these and not (hours and any(of_these)):
            of_these.append(hours)
    return [Version(*key, each) for key, hours in made.items() for each in hours]


async def in_sql(
    connection: Connection, versions: list[Version], asked: list[tuple[Context, datetime]]
) -> list[Version | None]:
    """What `price_at` gives for each variant and time. The versions are taken back afterwards."""
    ids = {uuid4(): version for version in versions}
    undo = connection.transaction()
    await undo.start()
    try:
        await connection.execute(
            "SELECT enter_prices(p_prices => $1, p_author => 'a test')",
            [_row(price_id, version) for price_id, version in ids.items()],
        )
        rows = await connection.fetch(
            "SELECT (price_at(p_model => 'a/model', p_price_context => a.context, p_time => a.at)).price_id"
            " FROM unnest($1::jsonb[], $2::timestamptz[]) WITH ORDINALITY AS a (context, at, place)"
            " ORDER BY a.place",
            [dict(context) for context, _ in asked],
            [at for _, at in asked],
        )
    finally:
        await undo.rollback()
    return [ids[row["price_id"]] if row["price_id"] else None for row in rows]


def _row(price_id: UUID, version: Version) -> dict[str, Any]:
    start, end = version.hours or (None, None)
    return {
        "price_id": str(price_id),
        "model": "a/model",
        "provider": "",
        "price_context": dict(version.context),
        "daily_start": start and start.isoformat(),
        "daily_end": end and end.isoformat(),
        "effective_time": version.begins.isoformat(),
        "revision": version.revision,
        "input_nano_usd_per_mtok": 1,
        "output_nano_usd_per_mtok": 1,
        "request_nano_usd": 0,
        "source": "a test",
        "rates": [],
    }


BEGINS = DAYS[0]
NIGHT, DAY = (time(18), time(6)), (time(9), time(12))
BATCH = CONTEXTS[1]


@example(
    # A version for a part of the day goes before one for the whole day, and a later version before both.
    [
        Version((), BEGINS, 1, None),
        Version((), BEGINS, 1, NIGHT),
        Version((), DAYS[2], 1, DAY),
        # Superseded as of its own time, with all of its hours.
        Version(BATCH, BEGINS, 1, NIGHT),
        Version(BATCH, BEGINS, 2, None),
    ]
)
@given(books())
# All examples share the fixture's database. Each takes its prices back.
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
async def test_the_price_in_force(database: Database, versions: list[Version]) -> None:
    """The database chooses as the rule says, at every edge of a version and of its hours."""
    instants = {*DAYS, *(day.replace(hour=hour) for day in DAYS for hour in (6, 12, 18))}
    asked = [
        (context, at - before)
        for context in [*CONTEXTS, (("processing", "priority"),)]
        for at in sorted(instants)
        for before in (timedelta(0), timedelta(microseconds=1))
    ]
    async with database.read() as connection:
        found = await in_sql(connection, versions, asked)
    wrong = [
        (context, at, version, expected)
        for (context, at), version in zip(asked, found, strict=True)
        if version != (expected := in_force(versions, context, at))
    ]
    assert wrong == []
