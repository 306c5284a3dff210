"""A batch decided as a set has the same answers as a batch decided one item after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest

from governor_service.domain.authorization import (
    AuthorizeAnswer,
    BudgetExceeded,
    ExpiryAction,
    Hold,
    HoldRequest,
    PlannedCall,
    authorization_id_of,
)
from governor_service.domain.ledger import SettleAnswer, Settlement, SettleRequest, idempotency_key
from governor_service.domain.model_id import ModelId
from governor_service.domain.usage import Usage
from governor_service.settings import GovernorSettings
from governor_service.store.prices import KnownPrices
from governor_service.store.sequential import SequentialDecisions
from governor_service.store.set_based import SetBasedDecisions
from governor_service.store.stages import SHORT_WAIT, Answers, NoAnswer, Stage
from infin8.governor.v1.price_pb2 import Rate
from infin8.governor.v1.pricing_service_pb2 import CreatePriceRequest
from service_chassis.postgres.database import Database
from tests.governor.conftest import MINI, ONE_SMALL_CALL, SONAR, Governor

pytestmark = pytest.mark.own_world

ORGANIZATIONS, WORKFLOWS = 8, 2
HOLD = 2_400_000
NEVER = datetime(2000, 1, 1, tzinfo=UTC)
UNPRICED = "nobody/nothing"
TIERED = "vendor/tiered"
TEAM = "label/lifetime/team=growth"


Request = TypeVar("Request")


@pytest.fixture
async def database(governor: Governor) -> AsyncIterator[Database]:
    database = await Database.open(governor.dsn, GovernorSettings(), application_name="test")
    yield database
    await database.close()


@dataclass
class World:
    """The same organizations, workflows and requests as in every other world, but with other ids."""

    database: Database
    ids: dict[str, UUID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        prices = KnownPrices()
        self.set_based, self.sequential = (
            SetBasedDecisions(self.database, prices, denies_unknown=False),
            SequentialDecisions(self.database, prices, denies_unknown=False),
        )

    def id(self, name: str) -> UUID:
        return self.ids.setdefault(name, uuid4())

    def hold(self, organization: int, request: str, call: dict[str, Any]) -> HoldRequest:
        workflow_id = self.id(f"workflow {organization} {call['workflow']}")
        return HoldRequest(
            request_id=self.id(f"request {request}"),
            call=PlannedCall(
                organization_id=self.id(f"organization {organization}"),
                workflow_id=workflow_id,
                models=tuple(ModelId((model,)) for model in call["models"]),
                input_tokens_max=1_000,
                output_tokens_max=call["output_tokens_max"],
                output_tokens_min=call["output_tokens_min"],
                requests_max=1,
                cache_write_tokens_max=call["cache_write_tokens_max"],
                cache_write_1h_tokens_max=None,
                other_units_max=call["other_units_max"],
                price_context=call["price_context"],
                labels=call["labels"],
            ),
            hold_duration=timedelta(minutes=10),
            on_expiry=ExpiryAction.RELEASE,
        )

    def settlement(self, organization: int, request: str, outcome: dict[str, Any]) -> SettleRequest:
        return SettleRequest(
            organization_id=self.id(f"organization {organization}"),
            authorization_id=authorization_id_of(self.id(f"request {request}")),
            provider_generation_id="",
            author="test",
            **outcome,
        )

    def seen(self, answer: AuthorizeAnswer | SettleAnswer | NoAnswer) -> str:
        """An answer with names instead of ids and without times, to compare answers of two worlds."""
        if isinstance(answer, Hold):
            held = answer.authorization
            timeless = replace(
                held, create_time=NEVER, expire_time=NEVER + (held.expire_time - held.create_time)
            )
            answer = replace(answer, authorization=timeless)
        if isinstance(answer, Settlement):
            answer = replace(answer, entry=replace(answer.entry, create_time=NEVER))
        if isinstance(answer, BudgetExceeded):
            answer = replace(answer, decided_time=NEVER)
        text = repr(answer)
        for name, known in self.ids.items():
            hold_id = authorization_id_of(known)
            true_up_id = idempotency_key("TrueUp", hold_id)
            for derived, kind in (known, ""), (hold_id, "hold of "), (true_up_id, "true-up of "):
                text = text.replace(str(derived), f"{kind}{name}")
        return text


async def price_tiers(governor: Governor) -> None:
    """A price that is not plain, and half of it for batches."""
    for context, nano_usd in (({}, 1_000_000_000), ({"processing": "batch"}, 500_000_000)):
        await governor.prices.CreatePrice(
            CreatePriceRequest(
                model=TIERED,
                input_nano_usd_per_mtok=nano_usd,
                output_nano_usd_per_mtok=nano_usd,
                rates=[
                    Rate(unit="input_tokens", per=10**6, nano_usd=2 * nano_usd, input_tokens_above=900),
                    Rate(unit="web_searches", per=1000, nano_usd=10 * nano_usd),
                ],
                price_context=context,
            )
        )


async def set_up(governor: Governor, world: World) -> None:
    """Inserts organizations with narrow budgets, a threshold, label budgets, a cost basis or a freeze."""
    await governor.sql(
        "INSERT INTO tiers (tier, monthly_quota_nano_usd, downgrade_threshold_percent, allowed_models,"
        " author) VALUES ('narrow', $1, 50, $2, 'test') ON CONFLICT DO NOTHING",
        10 * HOLD,
        [SONAR, MINI, TIERED],
    )
    organizations = [world.id(f"organization {number}") for number in range(ORGANIZATIONS)]
    for number, organization_id in enumerate(organizations[:-1]):  # the last one stays unknown
        tier = "narrow" if number == 1 else "default"
        await governor.sql(
            "INSERT INTO organizations (organization_id, tier, is_set_up) VALUES ($1, $2, true)",
            organization_id,
            tier,
        )
    for organization_id, key, limit in (
        (organizations[2], f"workflow/{world.id('workflow 2 0')}", 3 * HOLD),
        (organizations[3], TEAM, 4 * HOLD),
        (organizations[4], "month/standing", 100 * HOLD),
        (organizations[4], TEAM, None),
    ):
        await governor.sql(
            "INSERT INTO budget_limits VALUES ($1, $2, $3, 'test', now())", organization_id, key, limit
        )
    await governor.sql(
        "UPDATE organizations SET cost_basis = 'PROVIDER' WHERE organization_id = $1", organizations[4]
    )
    await governor.sql("INSERT INTO freezes VALUES ($1, $2, 'test', 'test', now())", organizations[5], SONAR)


def calls(dice: random.Random, number: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Requests of all kinds for some organizations, and only plain ones for the others."""
    made: list[tuple[int, str, dict[str, Any]]] = []
    for place in range(number):
        organization = dice.randrange(ORGANIZATIONS)
        is_plain = organization == 0 or (organization in (3, 4) and dice.random() < 0.95)
        call = {
            "workflow": dice.randrange(WORKFLOWS),
            "models": (SONAR,)
            if is_plain
            else dice.choice([(SONAR, MINI), (MINI,), (UNPRICED, MINI), (TIERED,)]),
            "output_tokens_max": 700 if is_plain else dice.choice([700, 7_000]),
            "output_tokens_min": None if is_plain else dice.choice([None, 100]),
            "cache_write_tokens_max": dice.choice([None, None, 0, 500]),
            "other_units_max": dice.choice([{}, {"web_searches": 2}]),
            "price_context": {} if is_plain else dice.choice([{}, {}, {"processing": "batch"}]),
            "labels": dice.choice([{}, {"team": "growth"}, {"team": "other", "step": "ICP"}]),
        }
        made.append((organization, f"{place}", call))
        if organization == 6 and dice.random() < 0.3:  # the same again, or other content under the same id
            made.append((organization, f"{place}", dice.choice([call, call | {"output_tokens_max": 701}])))
    return made


def outcomes(dice: random.Random, asked: Sequence[tuple[int, str, dict[str, Any]]]) -> list[Any]:
    made = []
    for organization, request, _ in asked:
        usage = Usage(
            input_tokens=dice.choice([0, 600, 5_000]),
            output_tokens=dice.choice([0, 100]),
            requests=1,
            other_units=dice.choice([{}, {"web_searches": 1}]),
        )
        served = dice.choice([None, None, None, SONAR, MINI, TIERED, UNPRICED])
        outcome = {
            "served_model": served and ModelId((served,)),
            "price_context": dice.choice([*[{}] * 7, {"processing": "batch"}]),
            "usage": dice.choice([usage, usage, usage, None]),
            "provider_cost_nano_usd": dice.choice([None, None, 0, 700_000, 9_000_000]),
        }
        made.append((organization, request, outcome))
    return made


async def finished(
    answers: Answers[Any],
    requests: Sequence[Request],
    sequential: Stage[Request, Any],
) -> tuple[list[Any], list[int]]:
    """Decides the left-out items one after the other; returns all answers, and the places of these items."""
    left = [place for place, answer in enumerate(answers) if answer is NoAnswer.LEFT_OUT]
    later = iter(await sequential([requests[place] for place in left], SHORT_WAIT))
    return [next(later) if answer is NoAnswer.LEFT_OUT else answer for answer in answers], left


@pytest.mark.parametrize("seed", range(8))
async def test_a_set_gets_the_answers_it_would_have_had_one_by_one(
    governor: Governor, database: Database, seed: int
) -> None:
    """The answers are the same, and all or none of an organization's holds are placed as a set."""
    dice = random.Random(seed)
    world, other = World(database), World(database)
    await price_tiers(governor)
    await set_up(governor, world)
    await set_up(governor, other)
    left_out = total = 0
    for turn in range(3):
        asked = [(organization, f"{turn} {request}", call) for organization, request, call in calls(dice, 40)]
        holds = [world.hold(*each) for each in asked]
        granted, left = await finished(
            await world.set_based.authorize(holds, SHORT_WAIT), holds, world.sequential.authorize
        )
        assert {asked[place][0] for place in left}.isdisjoint(
            asked[place][0] for place in range(len(asked)) if place not in left
        )
        expected = await other.sequential.authorize([other.hold(*each) for each in asked], SHORT_WAIT)
        assert [world.seen(answer) for answer in granted] == [other.seen(answer) for answer in expected]
        left_out += len(left)

        ended = outcomes(dice, asked)
        settlements = [world.settlement(*each) for each in ended]
        settled, left = await finished(
            await world.set_based.settle(settlements, SHORT_WAIT), settlements, world.sequential.settle
        )
        # The set was decided first and the left-out items after it. The same order gives the same sequences.
        order = [place for place in range(len(ended)) if place not in left] + left
        ends = await other.sequential.settle([other.settlement(*ended[place]) for place in order], SHORT_WAIT)
        assert [world.seen(settled[place]) for place in order] == [other.seen(answer) for answer in ends]
        left_out += len(left)
        total += 2 * len(asked)
    assert 60 < left_out < total - 60
    verify = files("governor_service.store").joinpath("verify.sql").read_text(encoding="utf-8")
    assert await governor.sql(verify) == []


async def test_a_hold_that_has_lost_a_budget_is_not_settled(governor: Governor, database: Database) -> None:
    """Nothing is posted: otherwise the figures would not be the sum of their entries."""
    held = await governor.authorize()
    await governor.sql("DELETE FROM budgets WHERE budget_key LIKE 'month/%'")
    request = SettleRequest(
        organization_id=UUID(governor.organization_id),
        authorization_id=UUID(held.authorization_id),
        served_model=None,
        price_context={},
        usage=Usage(input_tokens=1, output_tokens=1),
        provider_cost_nano_usd=None,
        provider_generation_id="",
        author="test",
    )
    with pytest.raises(asyncpg.RaiseError, match="2 budgets had to be moved, and 1 were"):
        await World(database).set_based.settle([request], SHORT_WAIT)
    assert await governor.entries() == []
    assert (await governor.workflow_budget()).held_nano_usd == HOLD


async def test_an_organization_that_was_made_since_the_lock_is_left_out(governor: Governor) -> None:
    """A set decides only for organizations that it has locked, even if it sees others."""
    organization_id, gate = uuid4(), 7
    # The clock is read between the lock and the decision. Here reading it waits for an advisory lock.
    await governor.sql(
        "CREATE OR REPLACE FUNCTION governor_now() RETURNS timestamptz LANGUAGE plpgsql AS"
        f" 'BEGIN PERFORM pg_advisory_xact_lock({gate}); RETURN clock_timestamp(); END'"
    )
    connection = await asyncpg.connect(governor.dsn)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({gate})")
        deciding = asyncio.create_task(
            governor.sql(
                f"SELECT * FROM authorize_set_based({ONE_SMALL_CALL})",
                organization_id,
                uuid4(),
            )
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        async with asyncio.timeout(10):
            while not await connection.fetchval(waiting):  # noqa: ASYNC110 - the database has no event for it
                await asyncio.sleep(0.01)
        await connection.execute(
            "INSERT INTO organizations (organization_id, create_time) VALUES ($1, now())", organization_id
        )
        await connection.execute(f"SELECT pg_advisory_unlock({gate})")
        assert await deciding == []
        assert await governor.sql("SELECT FROM authorizations") == []
    finally:
        await connection.close()
