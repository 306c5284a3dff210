"""SetFreeze: no new hold is authorized until the freeze is lifted; existing holds end as usual."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from infin8.governor.v1 import authorization_pb2, entry_pb2, errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.budgets.conftest import (
    HOLD,
    check_budget,
    set_freeze,
    set_organization,
    set_tier,
    until_it_waits_for_a_lock,
)
from tests.governor.conftest import MINI, SONAR, Governor, new_id, refusal

pytestmark = pytest.mark.own_world


def target(governor: Governor, kind: str) -> dict[str, Any]:
    targets: dict[str, dict[str, Any]] = {
        "organization": {"organization_id": governor.organization_id},
        "model": {"model": "Perplexity/Sonar:online"},
        "everything": {"everything": True},
    }
    return targets[kind]


@pytest.mark.parametrize("kind", ["organization", "model", "everything"])
async def test_frozen_until_it_is_lifted(governor: Governor, kind: str) -> None:
    """While the freeze is in force, Authorize and CheckBudget answer FROZEN, and no hold is placed."""
    await governor.authorize()
    frozen = await set_freeze(governor, **target(governor, kind))
    assert (frozen.frozen, frozen.reason, frozen.author) == (True, "a runaway agent", "anonymous")
    assert (await refusal(governor.authorize())).reason == "FROZEN"
    check = await check_budget(governor)
    assert (check.allowed, check.denial_reason) == (False, errors_pb2.ERROR_REASON_FROZEN)
    assert len(await governor.sql("SELECT FROM authorizations")) == 1
    lifted = await set_freeze(governor, False, reason="found and stopped", **target(governor, kind))
    assert not lifted.frozen
    await governor.authorize()
    history = await governor.sql("SELECT frozen, reason, author FROM freeze_changes ORDER BY change_time")
    assert [tuple(row) for row in history] == [
        (True, "a runaway agent", "anonymous"),
        (False, "found and stopped", "anonymous"),
    ]


@pytest.mark.parametrize("kind", ["organization", "model", "everything"])
async def test_what_is_held_ends_as_ever(governor: Governor, kind: str) -> None:
    """Settle, Void and the replay of an open hold do not check freezes."""
    request = governor.authorize_request()
    first, second = await governor.stub.Authorize(request), await governor.authorize()
    await set_freeze(governor, **target(governor, kind))
    assert (await governor.stub.Authorize(request)).replayed
    settled = await governor.settle(first, entry_pb2.Usage(input_tokens=1000, output_tokens=10))
    assert settled.entry.cost_nano_usd == 1_020_000
    assert (await governor.void(second)).state == authorization_pb2.AUTHORIZATION_STATE_VOIDED


async def test_a_freeze_of_one_organization_affects_no_other(governor: Governor) -> None:
    """An organization that the governor has never seen can be frozen, and the freeze does not set it up."""
    await set_freeze(governor, organization_id=governor.organization_id)
    refused = await refusal(governor.authorize(models=[SONAR, MINI]))
    assert (refused.reason, refused.metadata) == ("FROZEN", {})
    await governor.authorize(organization_id=new_id())
    rows = await governor.sql("SELECT is_set_up FROM organizations")
    assert not any(row["is_set_up"] for row in rows)


async def test_a_frozen_model_is_passed_over(governor: Governor) -> None:
    """A frozen model is skipped like one that the tier does not allow, which is no downgrade."""
    await set_freeze(governor, model=SONAR)
    held = await governor.authorize(models=[SONAR, MINI])
    assert (held.model, held.downgraded) == (MINI, False)


@pytest.mark.parametrize(
    ("models", "reason", "model"),
    [
        ([SONAR], "FROZEN", SONAR),
        ([SONAR, "nobody/nothing"], "FROZEN", SONAR),
        ([SONAR, "x-ai/grok-4-fast"], "FROZEN", SONAR),
        (["nobody/nothing", SONAR], "MODEL_NOT_ALLOWED", "nobody/nothing"),
        (["x-ai/grok-4-fast", SONAR], "MODEL_NOT_ALLOWED", "x-ai/grok-4-fast"),
        # Both frozen and not allowed by the tier.
        (["z-ai/glm-5", "x-ai/grok-4-fast"], "FROZEN", "z-ai/glm-5"),
    ],
)
async def test_where_none_is_left_the_first_candidate_gives_the_reason(
    governor: Governor, models: list[str], reason: str, model: str
) -> None:
    """The tier allows sonar and gpt-4o-mini; sonar and glm-5 are frozen."""
    await set_tier(governor, tier="pro", allowed_models=[SONAR, MINI])
    await set_organization(governor, tier="pro")
    await set_freeze(governor, model=SONAR)
    await set_freeze(governor, model="z-ai/glm-5")
    refused = await refusal(governor.authorize(models=models))
    assert (refused.reason, refused.metadata) == (reason, {"model": model})


async def test_overlapping_freezes_are_lifted_separately(governor: Governor) -> None:
    """Overlapping freezes are lifted one by one."""
    await set_freeze(governor, everything=True)
    await set_freeze(governor, organization_id=governor.organization_id)
    await set_freeze(governor, False, everything=True)
    assert (await refusal(governor.authorize())).reason == "FROZEN"
    await set_freeze(governor, False, organization_id=governor.organization_id)
    await governor.authorize()


async def test_a_repeated_freeze_does_not_undo_its_lifting(governor: Governor) -> None:
    """A repeated SetFreeze gets the first answer and changes nothing; other content is refused."""
    request_id = new_id()
    first = await set_freeze(governor, everything=True, request_id=request_id)
    await set_freeze(governor, False, everything=True)
    assert await set_freeze(governor, everything=True, request_id=request_id) == first
    await governor.authorize()
    refused = await refusal(set_freeze(governor, model=SONAR, request_id=request_id))
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_a_freeze_is_in_force_once_it_is_answered(governor: Governor) -> None:
    """A freeze waits for a running decision of its own organization, and for no other organization's."""
    await governor.authorize()
    connection = await asyncpg.connect(governor.dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT lock_organization($1)", governor.organization_id)
            await set_freeze(governor, organization_id=new_id())
            freeze = asyncio.create_task(set_freeze(governor, organization_id=governor.organization_id))
            await until_it_waits_for_a_lock(governor, freeze)
        assert (await freeze).frozen
    finally:
        await connection.close()
    assert (await refusal(governor.authorize())).reason == "FROZEN"


async def test_in_a_batch_each_answers_for_itself(governor: Governor) -> None:
    """A frozen organization's item is refused; other organizations' items are not affected."""
    frozen = new_id()
    await set_freeze(governor, organization_id=frozen)
    items = [
        governor.authorize_request(),
        governor.authorize_request(organization_id=frozen),
        governor.authorize_request(),
    ]
    answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert [result.error.reason for result in answer.results] == [0, errors_pb2.ERROR_REASON_FROZEN, 0]
    assert (await governor.workflow_budget()).held_nano_usd == 2 * HOLD


async def test_a_mistyped_model_is_not_frozen(governor: Governor) -> None:
    """A freeze of a model without a price needs `allow_unpriced`; so does lifting it."""
    for frozen in (True, False):
        refused = await refusal(set_freeze(governor, frozen, model="perplexity/sonnar"))
        assert (refused.reason, refused.metadata) == ("MODEL_NOT_PRICED", {"model": "perplexity/sonnar"})
    assert await governor.sql("SELECT FROM freeze_changes") == []


async def test_a_model_without_a_price_may_be_frozen_on_purpose(governor: Governor) -> None:
    """With `allow_unpriced` a model can be frozen before it gets a price."""
    frozen = await set_freeze(governor, model="Acme/New:free", allow_unpriced=True)
    assert (frozen.model, frozen.frozen) == ("acme/new", True)
    await governor.price("acme/new", 10**9)
    assert (await refusal(governor.authorize(models=["acme/new"]))).reason == "FROZEN"
    await set_freeze(governor, False, model="acme/new")
    await governor.authorize(models=["acme/new"])


@pytest.mark.parametrize("spelling", ["sonar", "Perplexity/Sonar:online", "perplexity/sonar@azure"])
async def test_any_spelling_freezes_the_model(governor: Governor, spelling: str) -> None:
    """A freeze under any spelling of the model's id applies to all spellings."""
    assert (await set_freeze(governor, model=spelling)).model == SONAR
    for model in (SONAR, "sonar", "perplexity/sonar:free"):
        assert (await refusal(governor.authorize(models=[model]))).reason == "FROZEN"
