"""A hold that has run out is still held until a caller ends it or the retention time has passed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from governor_service.app.sweep import sweep
from governor_service.settings import GovernorSettings
from governor_service.store.holds import HoldStore
from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.postgres.database import Database
from tests.governor.conftest import Governor, new_id, refusal

HOLD = 2_400_000
USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000
DAY = timedelta(days=1)
CHARGE = authorization_pb2.EXPIRY_ACTION_CHARGE
PENDING = authorization_pb2.AUTHORIZATION_STATE_PENDING
SUSPENSE = authorization_pb2.AUTHORIZATION_STATE_SUSPENSE
SETTLED = authorization_pb2.AUTHORIZATION_STATE_SETTLED
VOIDED = authorization_pb2.AUTHORIZATION_STATE_VOIDED
EXPIRED = authorization_pb2.AUTHORIZATION_STATE_EXPIRED


async def run_out(governor: Governor, ago: timedelta = timedelta(seconds=1)) -> None:
    """Moves the expire_time of every hold into the past."""
    await governor.sql(
        "UPDATE authorizations"
        " SET create_time = now() - 2 * $1::interval, expire_time = now() - $1::interval",
        ago,
    )


async def sweep_once(governor: Governor, retention: timedelta = DAY) -> tuple[int, int]:
    """Runs one round of another sweeper."""
    settings = GovernorSettings()
    database = await Database.open(governor.dsn, settings, application_name="test")
    try:
        swept = await sweep(HoldStore(database, settings, denies_unknown=False), retention)
        return swept.released_holds, swept.charged_holds
    finally:
        await database.close()


async def look(governor: Governor, held: authorization_pb2.Authorization) -> authorization_pb2.Authorization:
    return await governor.stub.GetAuthorization(
        governor_pb2.GetAuthorizationRequest(
            organization_id=governor.organization_id, authorization_id=held.authorization_id
        )
    )


async def extend(
    governor: Governor, held: authorization_pb2.Authorization, seconds_from_now: float
) -> authorization_pb2.Authorization:
    expire_time = Timestamp()
    expire_time.GetCurrentTime()
    expire_time.seconds += int(seconds_from_now)
    return await governor.stub.Extend(
        governor_pb2.ExtendRequest(
            organization_id=governor.organization_id,
            authorization_id=held.authorization_id,
            expire_time=expire_time,
        )
    )


@pytest.mark.own_world
async def test_a_hold_that_ran_out_is_in_suspense_and_still_counted(governor: Governor) -> None:
    """SUSPENSE follows from the time alone. A repeated Authorize is refused: it may not spend the hold."""
    request = governor.authorize_request()
    held = await governor.stub.Authorize(request)
    await run_out(governor)
    assert (await look(governor, held)).state == SUSPENSE
    assert (await governor.workflow_budget()).held_nano_usd == HOLD
    refused = await refusal(governor.stub.Authorize(request))
    assert (refused.reason, refused.metadata["state"]) == ("AUTHORIZATION_NOT_PENDING", "SUSPENSE")


@pytest.mark.own_world
async def test_suspense_settle(governor: Governor) -> None:
    """A hold in SUSPENSE becomes SETTLED with the flag LATE, and its remainder is released as usual."""
    held = await governor.authorize()
    await run_out(governor)
    settled = await governor.settle(held, USAGE)
    assert list(settled.entry.flags) == [entry_pb2.ENTRY_FLAG_LATE]
    assert (settled.entry.cost_nano_usd, settled.released_nano_usd) == (COST, HOLD - COST)
    assert (settled.entry.overage_nano_usd, (await governor.workflow_budget()).unguarded_nano_usd) == (0, 0)


@pytest.mark.own_world
async def test_suspense_void(governor: Governor) -> None:
    """A hold in SUSPENSE becomes VOIDED."""
    held = await governor.authorize()
    await run_out(governor)
    assert (await governor.void(held)).state == VOIDED
    assert (await governor.workflow_budget()).held_nano_usd == 0


@pytest.mark.own_world
async def test_suspense_extend(governor: Governor) -> None:
    """A hold in SUSPENSE becomes PENDING again, and a repeated Authorize may spend it again."""
    request = governor.authorize_request()
    held = await governor.stub.Authorize(request)
    await run_out(governor)
    extended = await extend(governor, held, 60)
    assert extended.state == PENDING
    assert (await governor.stub.Authorize(request)).replayed


async def test_pending_extend(governor: Governor) -> None:
    """A hold stays PENDING with the later time; a repeated Extend changes nothing."""
    held = await governor.authorize()
    once = await extend(governor, held, 3600)
    assert (once.state, once.expire_time.seconds > held.expire_time.seconds) == (PENDING, True)
    again = await governor.stub.Extend(
        governor_pb2.ExtendRequest(
            organization_id=governor.organization_id,
            authorization_id=held.authorization_id,
            expire_time=once.expire_time,
        )
    )
    assert again.expire_time == once.expire_time


@pytest.mark.parametrize(
    ("seconds", "reason"), [(-5, "INVALID_FIELD"), (60, "INVALID_FIELD"), (86_460, "VALUE_TOO_LARGE")]
)
async def test_extend_sets_a_later_time_only(governor: Governor, seconds: float, reason: str) -> None:
    """The time may not be before now, before the present expire_time, or more than a day from now."""
    held = await governor.authorize()
    refused = await refusal(extend(governor, held, seconds))
    assert (refused.reason, refused.fields[0].field) == (reason, "expire_time")
    assert (await look(governor, held)).expire_time == held.expire_time


@pytest.mark.parametrize("end", ["void", "unknown", "usage"])
async def test_what_has_ended_is_not_extended(governor: Governor, end: str) -> None:
    """Extend of an ended hold is refused with the hold's state."""
    held = await governor.authorize()
    if end == "void":
        await governor.void(held)
    else:
        await governor.settle(held, USAGE if end == "usage" else None)
    refused = await refusal(extend(governor, held, 3600))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    assert refused.metadata["state"] == ("VOIDED" if end == "void" else "SETTLED")


async def test_fields_of_extend(governor: Governor) -> None:
    """Each field is required, and a hold of another organization is not found."""
    request = governor_pb2.ExtendRequest(organization_id=governor.organization_id, authorization_id=new_id())
    assert (await refusal(governor.stub.Extend(request))).fields[0].field == "expire_time"
    held = authorization_pb2.Authorization(authorization_id=new_id())
    assert (await refusal(extend(governor, held, 60))).reason == "AUTHORIZATION_NOT_FOUND"


@pytest.mark.own_world
async def test_within_the_retention_time_nothing_is_swept(governor: Governor) -> None:
    """A hold in SUSPENSE waits for its late settlement."""
    await governor.authorize()
    await run_out(governor, DAY - timedelta(minutes=1))
    assert await sweep_once(governor) == (0, 0)
    assert (await governor.workflow_budget()).held_nano_usd == HOLD


@pytest.mark.own_world
async def test_a_sweep_takes_only_what_is_due(governor: Governor) -> None:
    """Only the hold whose retention time is over is swept; a hold that has just run out stays held."""
    await governor.authorize()
    await run_out(governor, DAY)
    held = await governor.authorize()
    await governor.sql(
        "UPDATE authorizations SET expire_time = now() - interval '1 s' WHERE authorization_id = $1",
        held.authorization_id,
    )
    assert await sweep_once(governor) == (1, 0)
    assert (await look(governor, held)).state == SUSPENSE
    assert (await governor.workflow_budget()).held_nano_usd == HOLD


@pytest.mark.own_world
async def test_after_the_retention_time_a_hold_is_released(governor: Governor) -> None:
    """on_expiry RELEASE: it is EXPIRED and not charged; a later settlement is LATE and all overage."""
    held = await governor.authorize()
    await run_out(governor, DAY)
    assert await sweep_once(governor) == (1, 0)
    assert (await look(governor, held)).state == EXPIRED
    budget = await governor.workflow_budget()
    assert (budget.spent_nano_usd, budget.held_nano_usd) == (0, 0)
    assert (await refusal(governor.settle(held))).metadata["state"] == "EXPIRED"
    assert (await governor.void(held)).state == EXPIRED
    assert (await refusal(extend(governor, held, 60))).metadata["state"] == "EXPIRED"
    settled = await governor.settle(held, USAGE)
    assert (settled.entry.overage_nano_usd, settled.released_nano_usd) == (COST, 0)
    assert (await governor.workflow_budget()).unguarded_nano_usd == COST


@pytest.mark.own_world
async def test_after_the_retention_time_a_hold_is_charged(governor: Governor) -> None:
    """on_expiry CHARGE: the sweeper settles it as unknown and LATE; a later settlement corrects the cost."""
    held = await governor.authorize(on_expiry=CHARGE)
    await run_out(governor, DAY)
    assert await sweep_once(governor) == (0, 1)
    (entry,) = await governor.entries()
    assert (entry.kind, entry.cost_nano_usd, entry.author) == (
        entry_pb2.ENTRY_KIND_UNKNOWN,
        HOLD,
        "sweeper",
    )
    assert list(entry.flags) == [entry_pb2.ENTRY_FLAG_LATE, entry_pb2.ENTRY_FLAG_UNKNOWN_OUTCOME]
    assert (await look(governor, held)).state == SETTLED
    assert (await governor.settle(held, USAGE)).entry.cost_nano_usd == COST - HOLD
    assert (await governor.workflow_budget()).spent_nano_usd == COST


@pytest.mark.own_world
async def test_several_sweepers_at_once(governor: Governor) -> None:
    """Several sweepers end each hold of many organizations exactly once."""
    organizations = [new_id() for _ in range(5)]
    await asyncio.gather(
        *(
            governor.authorize(organization_id=organization, on_expiry=on_expiry)
            for organization in organizations
            for on_expiry in (CHARGE, 1, 1)
        )
    )
    await run_out(governor, DAY)
    counts = await asyncio.gather(*(sweep_once(governor) for _ in range(4)))
    counts.append(await sweep_once(governor))
    assert (sum(released for released, _ in counts), sum(charged for _, charged in counts)) == (10, 5)
    (budgets,) = await governor.sql("SELECT sum(spent_nano_usd), sum(held_nano_usd) FROM budgets")
    assert tuple(budgets) == (5 * 2 * HOLD, 0)


@pytest.mark.own_world
async def test_what_is_wrong_with_one_organization_keeps_no_others_holds(governor: Governor) -> None:
    """I10: a sweeper that cannot end the holds of one organization still ends those of the others."""
    for _ in range(3):
        await governor.authorize(organization_id=new_id(), on_expiry=CHARGE)
    await run_out(governor, DAY)
    (first, *_) = await governor.sql("SELECT organizations_to_sweep('0 s', 100)")
    await governor.sql("DELETE FROM budgets WHERE organization_id = $1", first[0])
    assert await sweep_once(governor) == (0, 2)


@pytest.mark.own_world
async def test_settle_against_sweeper(governor: Governor) -> None:
    """Only one of them ends the hold, and the figures are right in both cases."""
    holds = [await governor.authorize(on_expiry=CHARGE) for _ in range(10)]
    await run_out(governor, DAY)
    await asyncio.gather(
        *(governor.settle(held, USAGE) for held in holds), sweep_once(governor), sweep_once(governor)
    )
    budget = await governor.workflow_budget()
    assert (budget.spent_nano_usd, budget.held_nano_usd) == (10 * COST, 0)


@pytest.mark.own_world
async def test_holds_are_listed_oldest_first(governor: Governor) -> None:
    """Lists can be filtered by state, workflow and age, and are read page by page."""
    holds = [await governor.authorize() for _ in range(3)]
    other = await governor.authorize(workflow_id=(workflow_id := new_id()))
    await governor.settle(holds[1], USAGE)
    await governor.authorize(organization_id=new_id())

    async def listed(**narrow: Any) -> list[str]:
        request = governor_pb2.ListAuthorizationsRequest(
            organization_id=governor.organization_id, page_size=2, **narrow
        )
        found: list[str] = []
        while True:
            page = await governor.stub.ListAuthorizations(request)
            found += [authorization.authorization_id for authorization in page.authorizations]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    ids = [held.authorization_id for held in [*holds, other]]
    assert await listed() == ids
    assert await listed(state=PENDING) == [ids[0], ids[2], ids[3]]
    assert await listed(state=SETTLED) == [ids[1]]
    assert await listed(workflow_id=workflow_id) == [ids[3]]
    assert await listed(created_before=holds[2].create_time) == ids[:2]
    await run_out(governor)
    assert len(await listed(state=SUSPENSE)) == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": 99}, "state"),
        ({"workflow_id": "x"}, "workflow_id"),
        ({"created_before": Timestamp(seconds=1)}, "created_before"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"organization_id": ""}, "organization_id"),
    ],
)
async def test_fields_of_list_authorizations(governor: Governor, changes: dict[str, Any], field: str) -> None:
    """A list request with an invalid field is refused."""
    request = governor_pb2.ListAuthorizationsRequest(
        **({"organization_id": governor.organization_id} | changes)
    )
    refused = await refusal(governor.stub.ListAuthorizations(request))
    assert (refused.reason, refused.fields[0].field) == ("INVALID_FIELD", field)
