"""S6, S7: the document's SQL functions and queries, called as SQL callers call them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.governor.conftest import MINI, SONAR, Governor, new_id
from tests.ledger.conftest import COST, HOLD, USAGE, figures, flags, violations

RECORD = "SELECT record_usage_and_increment($1, $2, $3, $4, $5, $6)"
RECORD_ONCE = "SELECT record_usage_and_increment($1, $2, $3, $4, $5, $6, $7)"
CHECK = "SELECT check_workflow_cost_limit($1, $2)"
INCREMENT = "SELECT increment_workflow_cost($1, $2)"
MONTHLY = "SELECT get_organization_monthly_ai_cost($1)"


async def value(governor: Governor, statement: str, *arguments: Any) -> Any:
    ((found,),) = await governor.sql(statement, *arguments)
    return found


async def record_by_sql(governor: Governor) -> None:
    """Records 600 + 100 tokens of sonar: 800,000 nano-USD."""
    await value(
        governor, RECORD, governor.workflow_id, governor.organization_id, SONAR, 600, 100, Decimal("0.0008")
    )


@pytest.mark.own_world
async def test_signatures(governor: Governor) -> None:
    """S6: the functions have the document's names, parameters and defaults, in schema public."""
    found = await governor.sql(
        "SELECT proname || '(' || pg_get_function_arguments(oid) || ') → ' || pg_get_function_result(oid)"
        " AS it FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = ANY ($1)",
        [
            "check_workflow_cost_limit",
            "record_usage_and_increment",
            "increment_workflow_cost",
            "get_organization_monthly_ai_cost",
        ],
    )
    assert {row["it"] for row in found} == {
        "check_workflow_cost_limit(p_workflow_id uuid, p_additional_cost numeric,"
        " p_max_cost numeric DEFAULT 1.00) → boolean",
        "record_usage_and_increment(p_workflow_id uuid, p_organization_id uuid, p_model text,"
        " p_prompt_tokens integer, p_completion_tokens integer, p_cost numeric,"
        " p_idempotency_key uuid DEFAULT gen_random_uuid()) → numeric",
        "increment_workflow_cost(p_workflow_id uuid, p_additional_cost numeric) → numeric",
        "get_organization_monthly_ai_cost(p_organization_id uuid) → numeric",
    }


async def test_the_documents_call_by_named_parameters(verified_governor: Governor) -> None:
    """S6: a call with named parameters, as `rpc('record_usage_and_increment', {…})` sends it, is posted."""
    governor = verified_governor
    total = await value(
        governor,
        "SELECT record_usage_and_increment(p_workflow_id => $1, p_organization_id => $2, p_model => $3,"
        " p_prompt_tokens => 600, p_completion_tokens => 100, p_cost => 0.0008)",
        governor.workflow_id,
        governor.organization_id,
        "Perplexity/Sonar:online",
    )
    assert str(total) == "0.000800000"
    (entry,) = await governor.entries()
    assert (entry.served_model, entry.cost_nano_usd, entry.provider_cost_nano_usd) == (SONAR, COST, COST)
    assert (entry.usage, flags(entry), entry.author) == (USAGE, {"UNGUARDED"}, "sql:governor")
    assert await figures(governor) == (COST, 0, COST)


@pytest.mark.parametrize(
    ("model", "cost", "charged", "flagged"),
    [
        (SONAR, "0.0001", COST, {"PROVIDER_VARIANCE"}),
        (SONAR, "0.0009", 900_000, {"PROVIDER_VARIANCE"}),
        (MINI + "-2024-07-18", "0.00015", 150_000, set()),
        ("nobody/nothing", "0.0005", 500_000, {"UNPRICED_MODEL"}),
        ("nobody/nothing", "0.0000000001", 1, {"UNPRICED_MODEL"}),
        ("nobody/nothing", "1000000", 10**15, {"UNPRICED_MODEL"}),
    ],
)
async def test_the_greater_of_the_callers_cost_and_the_rated_one_is_charged(
    verified_governor: Governor, model: str, cost: str, charged: int, flagged: set[str]
) -> None:
    """S5, S6: an unknown model costs the caller's figure; a fraction of a nano-dollar rounds up."""
    governor = verified_governor
    total = await value(
        governor, RECORD, governor.workflow_id, governor.organization_id, model, 600, 100, Decimal(cost)
    )
    assert total == Decimal(charged).scaleb(-9)
    (entry,) = await governor.entries()
    assert (entry.cost_nano_usd, flags(entry)) == (charged, flagged | {"UNGUARDED"})


async def test_a_replay_never_charges_twice(verified_governor: Governor) -> None:
    """S8: the same key again, also at once, returns the workflow's total; other content is an error."""
    governor = verified_governor
    key = UUID(new_id())
    call = (governor.workflow_id, governor.organization_id, SONAR, 600, 100, Decimal("0.0008"), key)
    totals = await asyncio.gather(*(value(governor, RECORD_ONCE, *call) for _ in range(8)))
    assert set(totals) == {Decimal("0.0008")}
    await record_by_sql(governor)
    assert await value(governor, RECORD_ONCE, *call) == Decimal("0.0016")
    with pytest.raises(asyncpg.UniqueViolationError, match="used before"):
        await value(governor, RECORD_ONCE, *call[:3], 601, *call[4:])
    assert (await governor.entries())[0].entry_id == str(key)
    assert await figures(governor) == (2 * COST, 0, 2 * COST)


async def test_a_replay_may_name_the_model_otherwise(verified_governor: Governor) -> None:
    """S8, S18: another spelling of the model is the same content, another model is not."""
    governor = verified_governor
    key = UUID(new_id())
    call = (governor.workflow_id, governor.organization_id)
    usage = (600, 100, Decimal("0.0008"), key)
    assert await value(governor, RECORD_ONCE, *call, SONAR, *usage) == Decimal("0.0008")
    for spelling in ("sonar", "perplexity:sonar", " openrouter/Perplexity/Sonar:online\n"):
        assert await value(governor, RECORD_ONCE, *call, spelling, *usage) == Decimal("0.0008")
    with pytest.raises(asyncpg.UniqueViolationError, match="used before"):
        await value(governor, RECORD_ONCE, *call, MINI, *usage)
    (entry,) = await governor.entries()
    assert entry.served_model == SONAR


@pytest.mark.parametrize("ended", [True, False])
async def test_a_call_with_a_hold_is_not_recorded_again(verified_governor: Governor, ended: bool) -> None:
    """S8: a call with a hold cannot be recorded by SQL under the id of its authorization."""
    governor = verified_governor
    held = await governor.authorize()
    if ended:
        await governor.settle(held, USAGE)
    call = (governor.workflow_id, governor.organization_id, SONAR, 600, 100, Decimal("0.0008"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await value(governor, RECORD_ONCE, *call, held.authorization_id)
    await governor.settle(held, USAGE)
    assert await figures(governor) == (COST, 0, 0)


@pytest.mark.own_world
@pytest.mark.parametrize(
    "change",
    [
        {"cost": Decimal("-0.000000001")},
        {"cost": Decimal("NaN")},
        {"cost": Decimal("Infinity")},
        {"cost": Decimal("1000000.000000001")},
        {"cost": None},
        {"model": None},
        {"model": ""},
        {"model": " :free"},
        {"model": "nobody/nothing", "cost": Decimal(0)},
        {"prompt": -1},
        {"completion": -1},
        {"prompt": 10**9 + 1},
        {"completion": None},
        {"workflow_id": None},
        {"organization_id": None},
        {"key": None},
    ],
    ids=str,
)
async def test_bad_input_changes_nothing(governor: Governor, change: dict[str, Any]) -> None:
    """S6: negative, NaN, missing and too large arguments are errors."""
    sent: dict[str, Any] = {
        "workflow_id": governor.workflow_id,
        "organization_id": governor.organization_id,
        "model": SONAR,
        "prompt": 600,
        "completion": 100,
        "cost": Decimal("0.0008"),
        "key": new_id(),
    } | change
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await value(governor, RECORD_ONCE, *sent.values())
    assert await governor.sql("SELECT FROM organizations UNION ALL SELECT FROM ai_usage_ledger") == []


async def test_the_check_reads_and_holds_count(verified_governor: Governor) -> None:
    """S1, S6: spent + held + additional ≤ 1.00 USD, or the caller's limit, to the nano-dollar."""
    governor = verified_governor
    assert await value(governor, CHECK, governor.workflow_id, Decimal(1))
    assert not await value(governor, CHECK, governor.workflow_id, Decimal("1.000000001"))
    await governor.settle(await governor.authorize(), USAGE)
    await governor.authorize()
    left = 1 - Decimal(COST + HOLD).scaleb(-9)
    nano = Decimal("0.000000001")
    assert await value(governor, CHECK, governor.workflow_id, left)
    assert not await value(governor, CHECK, governor.workflow_id, left + nano)
    assert not await value(governor, CHECK, governor.workflow_id, left + nano / 10)
    check = "SELECT check_workflow_cost_limit($1, $2, $3)"
    assert await value(governor, check, governor.workflow_id, left + nano, 1 + nano)
    assert not await value(governor, check, governor.workflow_id, Decimal(0), Decimal("0.003199999"))
    assert await value(governor, check, governor.workflow_id, Decimal(0), Decimal("0.0032"))
    assert await figures(governor) == (COST, HOLD, 0)


@pytest.mark.own_world
@pytest.mark.parametrize(
    "arguments",
    [
        (None, Decimal(0), Decimal(1)),
        (new_id(), Decimal(-1), Decimal(1)),
        (new_id(), Decimal("NaN"), Decimal(1)),
        (new_id(), Decimal(0), Decimal("NaN")),
        (new_id(), None, Decimal(1)),
        (new_id(), Decimal(0), None),
    ],
    ids=lambda arguments: "-".join(str(argument) for argument in arguments[1:]),
)
async def test_what_cannot_be_checked_is_an_error(governor: Governor, arguments: tuple[Any, ...]) -> None:
    """S6: an argument that cannot be checked raises an error instead of returning a value."""
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await value(governor, "SELECT check_workflow_cost_limit($1, $2, $3)", *arguments)


async def test_an_increment_posts_an_entry(verified_governor: Governor) -> None:
    """S6, S10: an increment of the total posts an entry to the ledger."""
    governor = verified_governor
    await record_by_sql(governor)
    assert await value(governor, INCREMENT, governor.workflow_id, Decimal("0.25")) == Decimal("0.2508")
    entry = (await governor.entries())[1]
    assert (entry.cost_nano_usd, entry.served_model) == (250_000_000, "")
    assert flags(entry) == {"UNGUARDED", "UNPRICED_MODEL"}
    assert await value(governor, INCREMENT, governor.workflow_id, Decimal(0)) == Decimal("0.2508")
    assert await figures(governor) == (250_000_000 + COST, 0, 250_000_000 + COST)


@pytest.mark.own_world
async def test_an_increment_of_nobodys_or_of_several_organizations_workflow(
    verified_governor: Governor,
) -> None:
    """S6: an unknown or ambiguous workflow is an error without a charge; a hold makes a workflow known."""
    governor = verified_governor
    with pytest.raises(asyncpg.NoDataFoundError):
        await value(governor, INCREMENT, governor.workflow_id, Decimal(1))
    await governor.authorize()
    assert await value(governor, INCREMENT, governor.workflow_id, Decimal("0.1")) == Decimal("0.1")
    await governor.authorize(organization_id=new_id())
    with pytest.raises(asyncpg.TooManyRowsError):
        await value(governor, INCREMENT, governor.workflow_id, Decimal(1))
    for amount in ("-1", "NaN"):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await value(governor, INCREMENT, governor.workflow_id, Decimal(amount))
    assert (await governor.workflow_budget()).spent_nano_usd == 100_000_000


async def test_sql_callers_and_rpcs_share_locks_and_budgets(verified_governor: Governor) -> None:
    """S4, S6: SQL callers and RPCs at once on one workflow lose nothing and fill the same limit."""
    governor = verified_governor

    async def call() -> None:
        await governor.settle(await governor.authorize(), USAGE)

    await asyncio.gather(
        *(record_by_sql(governor) for _ in range(20)),
        *(call() for _ in range(20)),
        *(record_by_sql(governor) for _ in range(20)),
    )
    assert await figures(governor) == (60 * COST, 0, 40 * COST)
    await value(governor, INCREMENT, governor.workflow_id, 1 - Decimal(60 * COST).scaleb(-9))
    assert not await value(governor, CHECK, governor.workflow_id, Decimal("0.000000001"))
    assert (await governor.workflow_budget()).available_nano_usd == 0
    assert await violations(governor) == []


@pytest.mark.own_world
async def test_the_month_of_an_organization(verified_governor: Governor) -> None:
    """S6, S11: the function returns the cost of the present UTC month, zero if nothing was spent."""
    governor = verified_governor
    assert await value(governor, MONTHLY, governor.organization_id) == 0
    await record_by_sql(governor)
    await governor.settle(await governor.authorize(workflow_id=new_id()), USAGE)
    assert str(await value(governor, MONTHLY, governor.organization_id)) == "0.001600000"
    assert await value(governor, MONTHLY, new_id()) == 0


@pytest.mark.own_world
async def test_the_documents_queries(verified_governor: Governor) -> None:
    """S7: the document's queries run word for word, with real ids."""
    governor = verified_governor
    await record_by_sql(governor)
    await governor.settle(await governor.authorize(), USAGE, served_model=MINI)
    other = new_id()
    await governor.settle(await governor.authorize(workflow_id=other), USAGE)

    month = await governor.sql(f"SELECT get_organization_monthly_ai_cost('{governor.organization_id}');")
    assert [tuple(row) for row in month] == [(Decimal("0.00175"),)]
    breakdown = await governor.sql(
        "SELECT model, SUM(cost) as total_cost\nFROM ai_usage_ledger \n"
        f"WHERE workflow_id = '{governor.workflow_id}'\nGROUP BY model;"
    )
    assert {tuple(row) for row in breakdown} == {(SONAR, Decimal("0.0008")), (MINI, Decimal("0.00015"))}
    dearest = await governor.sql(
        "SELECT workflow_id, SUM(cost) as total_cost\nFROM ai_usage_ledger\nGROUP BY workflow_id\n"
        "ORDER BY total_cost DESC\nLIMIT 10;"
    )
    assert [tuple(row) for row in dearest] == [
        (UUID(governor.workflow_id), Decimal("0.00095")),
        (UUID(other), Decimal("0.0008")),
    ]
    types = {
        row["column_name"]: row["data_type"]
        for row in await governor.sql(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_name = 'ai_usage_ledger'"
        )
    }
    assert (
        types
        | {
            "id": "uuid",
            "workflow_id": "uuid",
            "organization_id": "uuid",
            "model": "text",
            "prompt_tokens": "bigint",
            "completion_tokens": "bigint",
            "cost": "numeric",
            "idempotency_key": "uuid",
            "created_at": "timestamp with time zone",
        }
        == types
    )
