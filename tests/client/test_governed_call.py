"""However the block around a model call ends, its hold ends too: voided, settled, or settled as unknown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest

from governor_client import GovernorUnavailableError
from infin8.governor.v1.authorization_pb2 import Authorization, ExpiryAction
from infin8.governor.v1.entry_pb2 import Usage
from infin8.governor.v1.governor_service_pb2 import Settlement
from service_chassis.refusal import Refusal
from tests.client.conftest import GRANT, ORGANIZATION, SONAR, WORKFLOW, FakeGovernor, governed

USAGE = Usage(input_tokens=600, output_tokens=100, requests=1)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
WAIT_SECONDS = 20


class Broken(Exception):  # noqa: N818 - what the caller's code raises
    """The caller's own error, with a secret in its text."""


def test_the_hold_is_placed_on_entry_and_settled_as_told(fake: FakeGovernor) -> None:
    """The block sends one Authorize and one Settle with the usage, and nothing more at its end."""

    def work() -> tuple[Authorization, Settlement]:
        with governed(
            fake.client,
            hold_duration=timedelta(minutes=3),
            labels={"team": "growth"},
            requests_max=2,
            cache_write_tokens_max=900,
            cache_write_1h_tokens_max=0,
            other_units_max={"web_searches": 5},
            price_context={"service_tier": "flex"},
        ) as call:
            hold = call.dispatch()
            return hold, call.settle(
                USAGE,
                served_model="openai/gpt-4o-mini",
                provider_cost_nano_usd=0,
                provider_generation_id="g",
                price_context={"service_tier": "default"},
            )

    ran = fake.run(work)
    asked = fake.answer("Authorize", GRANT)
    told = fake.answer("Settle", Settlement(released_nano_usd=7))
    hold, settlement = ran.result(WAIT_SECONDS)
    assert (hold.model, hold.output_tokens_max, settlement.released_nano_usd) == (SONAR, 500, 7)
    assert (asked.organization_id, asked.workflow_id) == (str(ORGANIZATION), str(WORKFLOW))
    assert list(asked.models) == [SONAR]
    assert (asked.input_tokens_max, asked.output_tokens_max, asked.requests_max) == (1000, 700, 2)
    assert (asked.hold_duration.seconds, dict(asked.labels)) == (180, {"team": "growth"})
    assert asked.HasField("cache_write_1h_tokens_max")
    assert (asked.cache_write_tokens_max, asked.cache_write_1h_tokens_max) == (900, 0)
    assert (asked.other_units_max, asked.price_context) == ({"web_searches": 5}, {"service_tier": "flex"})
    # A hold that nobody ends, for example because the process died, is charged.
    assert asked.on_expiry == ExpiryAction.EXPIRY_ACTION_CHARGE
    assert (told.organization_id, told.authorization_id) == (str(ORGANIZATION), GRANT.authorization_id)
    assert (told.usage, told.served_model) == (USAGE, "openai/gpt-4o-mini")
    assert told.HasField("provider_cost_nano_usd")
    assert told.provider_generation_id == "g"
    assert told.price_context == {"service_tier": "default"}


def test_a_refusal_ends_it_before_the_block(fake: FakeGovernor) -> None:
    """The body does not run, and nothing is voided because nothing was held."""
    entered = []

    def work() -> None:
        with governed(fake.client):
            entered.append(True)

    ran = fake.run(work)
    fake.refuse("Authorize", "BUDGET_EXCEEDED", metadata={"scope": "WORKFLOW"})
    with pytest.raises(Refusal) as caught:
        ran.result(WAIT_SECONDS)
    assert (caught.value.reason, caught.value.metadata) == ("BUDGET_EXCEEDED", {"scope": "WORKFLOW"})
    assert not entered


def test_an_error_before_dispatch_voids(fake: FakeGovernor) -> None:
    """Nothing was sent before dispatch, so the hold is voided, with the error's type as the reason."""

    def work() -> None:
        with governed(fake.client):
            raise Broken("sk-secret")

    ran = fake.run(work)
    asked = fake.answer("Authorize", GRANT)
    voided = fake.answer("Void", GRANT)
    with pytest.raises(Broken):
        ran.result(WAIT_SECONDS)
    assert (voided.organization_id, voided.request_id) == (str(ORGANIZATION), asked.request_id)
    assert voided.reason == "nothing was sent: Broken"


def test_leaving_without_dispatch_voids(fake: FakeGovernor) -> None:
    """A block that ends without dispatch voids its hold."""

    def work() -> None:
        with governed(fake.client):
            pass

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    assert fake.answer("Void", GRANT).reason == "nothing was sent"
    ran.result(WAIT_SECONDS)


@pytest.mark.parametrize("error", [Broken("sk-secret"), KeyboardInterrupt(), None])
def test_after_dispatch_it_is_settled_as_unknown(fake: FakeGovernor, error: BaseException | None) -> None:
    """A block that raises, is interrupted or just ends after dispatch may have cost money and is charged."""

    def work() -> BaseException | None:
        try:
            with governed(fake.client) as call:
                call.dispatch()
                if error:
                    raise error
        except BaseException as raised:
            return raised
        return None

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    told = fake.answer("Settle", Settlement())
    assert told.WhichOneof("outcome") == "unknown_outcome"
    assert told.authorization_id == GRANT.authorization_id
    assert ran.result(WAIT_SECONDS) is error


def test_an_error_after_settling_changes_nothing(fake: FakeGovernor) -> None:
    """After settle the end of the block sends nothing."""

    def work() -> None:
        with governed(fake.client) as call:
            call.dispatch()
            call.settle(USAGE)
            raise Broken

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    fake.answer("Settle", Settlement())
    with pytest.raises(Broken):
        ran.result(WAIT_SECONDS)


def test_a_call_that_the_provider_refused_is_voided(fake: FakeGovernor) -> None:
    """A caller may void after dispatch too, when the provider refused the call."""

    def work() -> Authorization:
        with governed(fake.client) as call:
            call.dispatch()
            return call.void("400: no such parameter")

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    assert fake.answer("Void", GRANT).reason == "400: no such parameter"
    assert ran.result(WAIT_SECONDS) == GRANT


def test_usage_that_the_governor_refuses_leaves_an_unknown_outcome(fake: FakeGovernor) -> None:
    """If the governor refuses the usage, the refusal is raised, and the hold is settled as unknown."""

    def work() -> None:
        with governed(fake.client) as call:
            call.dispatch()
            call.settle(Usage(input_tokens=-1))

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    fake.refuse("Settle", "INVALID_FIELD")
    assert fake.answer("Settle", Settlement()).WhichOneof("outcome") == "unknown_outcome"
    with pytest.raises(Refusal) as caught:
        ran.result(WAIT_SECONDS)
    assert caught.value.reason == "INVALID_FIELD"


def test_usage_that_got_no_answer_is_sent_again(fake: FakeGovernor) -> None:
    """The end of the block repeats the same Settle, which takes effect once; it does not send unknown."""

    def work() -> None:
        with governed(fake.client) as call:
            call.dispatch()
            call.settle(USAGE)

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    first = fake.fail("Settle", grpc.StatusCode.INTERNAL)
    assert fake.answer("Settle", Settlement()) == first
    assert first.usage == USAGE
    with pytest.raises(GovernorUnavailableError):
        ran.result(WAIT_SECONDS)


def test_settling_without_dispatch_is_allowed(fake: FakeGovernor) -> None:
    """Settling with usage implies that the call was sent."""

    def work() -> None:
        with governed(fake.client) as call:
            call.settle(USAGE)

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    assert fake.answer("Settle", Settlement()).usage == USAGE
    ran.result(WAIT_SECONDS)


def test_the_blocks_own_error_is_raised_if_the_hold_cannot_be_ended(fake: FakeGovernor) -> None:
    """The block's own error is raised, with the failure to end the hold as a note."""

    def work() -> None:
        with governed(fake.client):
            raise Broken

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    fake.fail("Void", grpc.StatusCode.INTERNAL)
    with pytest.raises(Broken) as caught:
        ran.result(WAIT_SECONDS)
    (note,) = caught.value.__notes__
    assert "GOVERNOR_UNAVAILABLE" in note


def test_a_hold_that_cannot_be_ended_is_an_error_of_its_own(fake: FakeGovernor) -> None:
    """If the block raised nothing, the failure to end the hold is raised."""

    def work() -> None:
        with governed(fake.client) as call:
            call.dispatch()

    ran = fake.run(work)
    fake.answer("Authorize", GRANT)
    fake.fail("Settle", grpc.StatusCode.INTERNAL)
    with pytest.raises(GovernorUnavailableError):
        ran.result(WAIT_SECONDS)


def test_a_hold_that_may_stand_is_voided(fake: FakeGovernor) -> None:
    """An Authorize without an answer may have placed a hold, so its request_id is voided."""
    ran = fake.run(lambda: governed(fake.client).__enter__())
    asked = fake.fail("Authorize", grpc.StatusCode.INTERNAL)
    assert fake.answer("Void", GRANT).request_id == asked.request_id
    with pytest.raises(GovernorUnavailableError):
        ran.result(WAIT_SECONDS)


def test_a_hold_of_the_callers_own_request_id_is_not_voided_unseen(fake: FakeGovernor) -> None:
    """The caller's request_id may be in use since an earlier attempt: its hold is left to expire."""
    ran = fake.run(lambda: governed(fake.client, request_id=WORKFLOW).__enter__())
    asked = fake.fail("Authorize", grpc.StatusCode.INTERNAL)
    with pytest.raises(GovernorUnavailableError):
        ran.result(WAIT_SECONDS)
    assert asked.request_id == str(WORKFLOW)


@pytest.mark.parametrize("method", ["Authorize", "Settle", "Void"])
def test_trouble_that_passes_is_tried_again_with_the_same_ids(fake: FakeGovernor, method: str) -> None:
    """Every attempt sends exactly the same request."""

    def work() -> None:
        with governed(fake.client) as call:
            if method != "Void":
                call.dispatch()
                call.settle(USAGE)

    answers: dict[str, Any] = {"Authorize": GRANT, "Settle": Settlement(), "Void": GRANT}
    ran = fake.run(work)
    requests = []
    for step in ("Authorize", "Void" if method == "Void" else "Settle"):
        if step == method:
            requests.append(fake.fail(step, UNAVAILABLE))
            requests.append(fake.refuse(step, "DATABASE_UNAVAILABLE", retry_after_seconds=0.01))
            requests.append(fake.fail(step, grpc.StatusCode.DEADLINE_EXCEEDED))
            requests.append(fake.fail(step, grpc.StatusCode.CANCELLED))
        sent = fake.answer(step, answers[step])
        if step == method:
            requests.append(sent)
    ran.result(WAIT_SECONDS)
    assert len(requests) == 5
    assert all(request == requests[0] for request in requests)


def test_a_channel_closed_here_is_not_tried_again(fake: FakeGovernor) -> None:
    """A call on a channel that the caller closed is not tried again."""
    ran = fake.run(lambda: governed(fake.client, request_id=WORKFLOW).__enter__())
    _, rpc = fake.take("Authorize")
    rpc.terminate(None, (), grpc.StatusCode.CANCELLED, "Channel closed!")
    with pytest.raises(GovernorUnavailableError) as raised:
        ran.result(WAIT_SECONDS)
    assert not raised.value.is_transient


def test_nothing_can_be_dispatched_before_the_block(fake: FakeGovernor) -> None:
    """Before the block is entered, dispatch raises RuntimeError."""
    with pytest.raises(RuntimeError):
        governed(fake.client).dispatch()
