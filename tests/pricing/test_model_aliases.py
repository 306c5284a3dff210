"""S19: operators' own names of models: they go before the shipped rules, and every call understands them."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from infin8.governor.v1 import entry_pb2, pricing_service_pb2
from infin8.governor.v1.pricing_service_pb2 import (
    DeleteModelAliasRequest,
    EstimateCostRequest,
    GetPriceRequest,
    ListModelAliasesRequest,
    ModelAlias,
    ModelUsage,
    ResolveModelRequest,
    ResolveModelResponse,
    SetModelAliasRequest,
)
from tests.budgets.conftest import check_budget, set_freeze, set_organization, set_tier
from tests.governor.conftest import MINI, SONAR, Governor, governor, new_id, refusal
from tests.ledger.conftest import flags, record, violations
from tests.pricing.tariffs import TOKEN, enter

pytestmark = pytest.mark.own_world

__all__ = ["governor"]

USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
HOLD = 2_400_000


async def set_alias(governor: Governor, alias: str, model: str, request_id: str = "") -> ModelAlias:
    return await governor.prices.SetModelAlias(
        SetModelAliasRequest(alias=alias, model=model, request_id=request_id)
    )


async def delete_alias(governor: Governor, alias: str, request_id: str = "") -> ModelAlias:
    return await governor.prices.DeleteModelAlias(DeleteModelAliasRequest(alias=alias, request_id=request_id))


async def resolve(governor: Governor, model: str) -> ResolveModelResponse:
    return await governor.prices.ResolveModel(ResolveModelRequest(model=model))


async def aliases(governor: Governor, **fields: Any) -> pricing_service_pb2.ListModelAliasesResponse:
    return await governor.prices.ListModelAliases(ListModelAliasesRequest(**fields))


async def history(governor: Governor) -> list[tuple[Any, ...]]:
    rows = await governor.sql("SELECT alias, model, author FROM model_aliases ORDER BY alias, change_time")
    return [tuple(row) for row in rows]


async def test_every_call_understands_an_alias(governor: Governor) -> None:
    """In any spelling of upper and lower case, and of the model that it is set for."""
    alias = await set_alias(governor, "ACME/Fast", "Perplexity/Sonar:online")
    assert (alias.alias, alias.model, alias.author) == ("acme/fast", SONAR, "anonymous")
    resolved = await resolve(governor, "Acme/FAST")
    assert (resolved.model, resolved.priced) == (SONAR, True)
    assert list(resolved.steps) == ["alias acme/fast, set by anonymous"]
    assert (await check_budget(governor, models=["acme/fast"])).model == SONAR
    held = await governor.authorize(models=["Acme/fast"])
    assert (held.model, held.held_nano_usd) == (SONAR, HOLD)
    entry = (await governor.settle(held, USAGE, served_model="ACME/fast")).entry
    assert (entry.requested_model, entry.served_model, flags(entry)) == (SONAR, SONAR, set())
    assert (await record(governor, served_model="acme/FAST")).served_model == SONAR
    price = await governor.prices.GetPrice(GetPriceRequest(model="acme/fast"))
    assert price == held.price
    estimate = await governor.prices.EstimateCost(
        EstimateCostRequest(usage=ModelUsage(model="acme/fast", usage=USAGE))
    )
    assert estimate.cost_nano_usd == 800_000
    created = await enter(
        governor,
        model="acme/fast",
        input_nano_usd_per_mtok=2_000 * TOKEN,
        output_nano_usd_per_mtok=2_000 * TOKEN,
    )
    assert created.model == SONAR
    assert await violations(governor) == []


@pytest.mark.parametrize("alias", ["openai/gpt-4o-mini:free", "gpt-4o-mini", "openai/gpt-4o-mini", "~Fast"])
async def test_an_alias_goes_before_the_shipped_rules(governor: Governor, alias: str) -> None:
    """Also where the rules or the price book know the name. Once it is removed, the rules apply again."""
    before = await resolve(governor, alias)
    await set_alias(governor, alias, SONAR)
    assert (await resolve(governor, alias)).model == SONAR
    assert (await governor.authorize(models=[alias])).model == SONAR
    removed = await delete_alias(governor, alias.upper())
    assert (removed.alias, removed.model) == (alias.lower(), "")
    assert await resolve(governor, alias) == before


async def test_an_alias_of_a_general_name_is_for_its_variants_too(governor: Governor) -> None:
    """The first name counts that is an alias or has a price; an alias of a longer name goes before it."""
    await set_alias(governor, "acme/fast", SONAR)
    assert (await resolve(governor, "acme/fast:nitro")).model == SONAR
    await set_alias(governor, "acme/fast:nitro", MINI)
    assert (await resolve(governor, "Acme/fast:NITRO")).model == MINI
    assert (await resolve(governor, "acme/fast")).model == SONAR


async def test_an_alias_means_what_its_model_was(governor: Governor) -> None:
    """An alias of an alias keeps the model that it was set for."""
    await set_alias(governor, "one", SONAR)
    await set_alias(governor, "two", "one")
    await set_alias(governor, "one", MINI)
    assert (await resolve(governor, "two")).model == SONAR
    assert (await resolve(governor, "one")).model == MINI


async def test_a_hold_keeps_what_it_was_resolved_to(governor: Governor) -> None:
    """A change of the alias counts for later holds. Earlier ones are settled and replayed as they were."""
    await set_alias(governor, "fast", SONAR)
    request = governor.authorize_request(models=["fast"])
    held = [
        await governor.stub.Authorize(request),
        *[await governor.authorize(models=["fast"]) for _ in range(2)],
    ]
    await set_alias(governor, "fast", MINI)
    again = await governor.stub.Authorize(request)
    assert (again.replayed, again.model) == (True, SONAR)
    assert (await governor.authorize(models=["fast"])).model == MINI
    entry = (await governor.settle(held[0], USAGE, served_model="fast")).entry
    assert (entry.served_model, entry.cost_nano_usd, flags(entry)) == (SONAR, 800_000, set())
    drifted = (await governor.settle(held[1], USAGE, served_model=MINI)).entry
    assert flags(drifted) == {"MODEL_DRIFT"}
    await delete_alias(governor, "fast")
    settled = await governor.settle(held[2], USAGE, served_model="Fast")
    assert flags(settled.entry) == set()
    repeated = await governor.settle(held[2], USAGE, served_model="fast")
    assert (repeated.replayed, repeated.entry) == (True, settled.entry)
    # Usage without a hold is for the model that the name meant when it occurred.
    recorded = await record(governor, served_model="fast", occurred_time=held[0].create_time)
    assert recorded.served_model == SONAR
    assert await violations(governor) == []


async def test_a_model_without_a_price_gets_no_alias(governor: Governor) -> None:
    """It is refused with its name, nothing is stored, and the request_id stays free."""
    request_id = new_id()
    refused = await refusal(set_alias(governor, "fast", "Nobody/Nothing:free", request_id))
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_PRICED", {"model": "nobody/nothing"})
    assert await history(governor) == []
    assert (await set_alias(governor, "fast", SONAR, request_id)).model == SONAR


async def test_replays(governor: Governor) -> None:
    """The same request, also at once, makes one change and gets one answer; other content is refused."""
    request_id = new_id()
    answers = await asyncio.gather(*(set_alias(governor, "fast", SONAR, request_id) for _ in range(6)))
    assert all(answer == answers[0] for answer in answers)
    await set_alias(governor, "fast", MINI)
    assert await set_alias(governor, "FAST", "sonar", request_id.upper()) == answers[0]
    for alias, model in (("fast", MINI), ("faster", SONAR)):
        assert (await refusal(set_alias(governor, alias, model, request_id))).reason == "REQUEST_ID_REUSED"
    # The id belongs to the method.
    removed = await delete_alias(governor, "fast", request_id)
    await set_alias(governor, "fast", SONAR)
    assert await delete_alias(governor, "fast", request_id) == removed
    assert (await refusal(delete_alias(governor, "faster", request_id))).reason == "REQUEST_ID_REUSED"
    assert [model for _, model, _ in await history(governor)] == [SONAR, MINI, None, SONAR]


async def test_changes_are_kept(governor: Governor) -> None:
    """Each change has its author and a time of its own, and is never overwritten. Two at once are two."""
    await asyncio.gather(*(set_alias(governor, "fast", model) for model in (SONAR, MINI) * 4))
    await delete_alias(governor, "fast")
    await delete_alias(governor, "never-set")
    rows = await governor.sql("SELECT change_time FROM model_aliases WHERE alias = 'fast'")
    assert len({row["change_time"] for row in rows}) == 9
    assert (await history(governor))[-2:] == [("fast", None, "anonymous"), ("never-set", None, "anonymous")]
    for change in (
        "UPDATE model_aliases SET model = 'x'",
        "DELETE FROM model_aliases",
        "TRUNCATE model_aliases",
    ):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await governor.sql(change)


async def test_list(governor: Governor) -> None:
    """The aliases in force, by alias, in pages; a token is valid for this list only."""
    made = [await set_alias(governor, alias, SONAR) for alias in ("b", "d", "a", "c", "e")]
    await delete_alias(governor, "c")
    found: list[ModelAlias] = []
    token = ""
    while len(found) < 3 or token:
        page = await aliases(governor, page_size=2, page_token=token)
        found += page.aliases
        token = page.next_page_token
    assert found == sorted((each for each in made if each.alias != "c"), key=lambda each: each.alias)
    other = await governor.prices.ListPrices(pricing_service_pb2.ListPricesRequest(page_size=1))
    refused = await refusal(aliases(governor, page_token=other.next_page_token))
    assert refused.fields[0].field == "page_token"


@pytest.mark.parametrize(
    ("alias", "model", "field"),
    [
        ("", SONAR, "alias"),
        ("a b", SONAR, "alias"),
        ("a\0", SONAR, "alias"),
        ("a" * 201, SONAR, "alias"),
        ("fast", "", "model"),
        ("fast", ":free", "model"),
        ("fast", "s" * 201, "model"),
    ],
)
async def test_bad_input(governor: Governor, alias: str, model: str, field: str) -> None:
    """A bad name is refused with its field."""
    refused = await refusal(set_alias(governor, alias, model))
    assert (refused.reason, [each.field for each in refused.fields]) == ("INVALID_FIELD", [field])
    if field == "alias":
        assert (await refusal(delete_alias(governor, alias))).fields[0].field == "alias"
    assert await history(governor) == []


SPELLINGS = ["Perplexity/SONAR", "sonar", "openrouter/perplexity/sonar", "perplexity/sonar:online", "Fast"]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_another_spelling_is_no_drift(governor: Governor, spelling: str) -> None:
    """Drift compares what is resolved, in a batch as well as alone."""
    await set_alias(governor, "fast", SONAR)
    held = await governor.authorize(models=[spelling])
    assert held.model == SONAR
    for served in (spelling, SONAR):
        settled = await governor.settle(await governor.authorize(), USAGE, served_model=served)
        assert flags(settled.entry) == set()
    unknown = await governor.settle(held, served_model=spelling)
    assert flags(unknown.entry) == {"UNKNOWN_OUTCOME"}


async def test_the_granted_models_own_name_is_no_drift(governor: Governor) -> None:
    """Also where its name has become an alias of another model: the hold is for the model itself."""
    await set_alias(governor, "fast", SONAR)
    await set_alias(governor, SONAR, MINI)
    assert (await governor.authorize(models=[SONAR])).model == MINI
    for usage, kind in ((USAGE, set[str]()), (None, {"UNKNOWN_OUTCOME"})):
        held = await governor.authorize(models=["fast"])
        assert held.model == SONAR
        entry = (await governor.settle(held, usage, served_model=SONAR)).entry
        assert (entry.served_model, flags(entry)) == (SONAR, kind)


async def test_the_same_model_from_another_seller_is_drift(governor: Governor) -> None:
    """It is rated at that seller's price."""
    await governor.price("azure/gpt-4o-mini", 160 * TOKEN)
    held = await governor.authorize(models=[MINI])
    entry = (await governor.settle(held, USAGE, served_model="azure/gpt-4o-mini")).entry
    assert (entry.served_model, entry.cost_nano_usd) == ("azure/gpt-4o-mini", 112_000)
    assert flags(entry) == {"MODEL_DRIFT"}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_tiers_allow_any_spelling(governor: Governor, spelling: str) -> None:
    """A tier keeps the models that its names are when it is set."""
    await set_alias(governor, "fast", SONAR)
    tier = await set_tier(governor, tier="pro", allowed_models=[spelling, SONAR])
    assert list(tier.allowed_models) == [SONAR]
    await set_organization(governor, tier="pro")
    await set_alias(governor, "fast", MINI)
    assert (await governor.authorize(models=[SONAR])).model == SONAR
    refused = await refusal(governor.authorize(models=[MINI]))
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_ALLOWED", {"model": MINI})


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_freezes_take_any_spelling(governor: Governor, spelling: str) -> None:
    """What is frozen is the model, under all of its names; another name lifts the freeze."""
    await set_alias(governor, "fast", SONAR)
    freeze = await set_freeze(governor, model=spelling)
    assert freeze.model == SONAR
    for model in SPELLINGS:
        assert (await refusal(governor.authorize(models=[model]))).reason == "FROZEN"
    assert (await governor.authorize(models=[SONAR, MINI])).model == MINI
    await set_freeze(governor, False, model="fast")
    assert (await governor.authorize(models=[spelling])).model == SONAR


async def test_a_repeated_freeze_of_a_name_that_is_gone(governor: Governor) -> None:
    """It answers as the first time, although the name has no price any more."""
    await set_alias(governor, "fast", SONAR)
    request_id = new_id()
    freeze = await set_freeze(governor, model="fast", request_id=request_id)
    await delete_alias(governor, "fast")
    assert await set_freeze(governor, model="fast", request_id=request_id) == freeze
    assert (await refusal(set_freeze(governor, model="fast"))).reason == "MODEL_NOT_PRICED"


async def test_downgrades_take_any_spelling(governor: Governor) -> None:
    """Candidates that mean one model are one candidate, and the cheapest is found under any name."""
    await set_tier(governor, tier="pro", monthly_quota_nano_usd=10 * HOLD, downgrade_threshold_percent=1)
    await set_organization(governor, tier="pro")
    await set_alias(governor, "cheap", MINI)
    first = await governor.authorize(models=["sonar", "Perplexity/Sonar:online", "cheap"])
    assert (first.model, first.downgraded) == (SONAR, False)
    second = await governor.authorize(models=["sonar", "Perplexity/Sonar:online", "CHEAP"])
    assert (second.model, second.downgraded) == (MINI, True)
