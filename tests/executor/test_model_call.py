"""Every model call is governed: a real governor and database, and a simulated provider that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from governor_client import GovernorClient
from tests.executor.conftest import CALL_DEADLINE_SECONDS, MINI, PRICES, SONAR, Bench, flags, kinds
from tests.executor.talk import GOOD_MINI, GOOD_SONAR, assert_charged_as_billed, behave, route_of
from workflow_service.app.execute_step import StepFailed
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.routing import Route
from workflow_service.domain.states import Step
from workflow_service.domain.steps import CompetitorResult, IcpResult
from workflow_service.simulator.behaviours import Behaviour
from workflow_service.simulator.server import Simulator


@dataclass(frozen=True)
class Case:
    """How the provider behaves, and the expected route, entries and waits."""

    behaviours: list[Behaviour]
    route: Sequence[tuple[str, str, str | None]]
    kinds: list[str]
    flags: list[set[str]]
    waits_seconds: list[float] = field(default_factory=list)
    failed: ErrorClass | None = None


UNKNOWN_FLAGS = {"UNKNOWN_OUTCOME"}
USED, UNKNOWN = "USAGE", "UNKNOWN"

CASES = {
    "well": Case([], [GOOD_SONAR], [USED], [set()]),
    "429 twice": Case(
        [behave("rate_limited", times=2, retry_after="7")],
        [(SONAR, "VOIDED", "RATE_LIMITED")] * 2 + [GOOD_SONAR],
        [USED],
        [set()],
        [7.0, 7.0],
    ),
    "429 for ever": Case(
        [behave("rate_limited", times=None)],
        [(SONAR, "VOIDED", "RATE_LIMITED")] * 3 + [(MINI, "VOIDED", "RATE_LIMITED")] * 3,
        [],
        [],
        [1.0, 1.0, 1.0, 1.0],
        ErrorClass.RATE_LIMITED,
    ),
    "unknown model": Case(
        [behave("unknown_model", model=SONAR)],
        [(SONAR, "VOIDED", "UNKNOWN_MODEL"), GOOD_MINI],
        [USED],
        [set()],
    ),
    "html": Case(
        [behave("html")],
        [(SONAR, "SETTLED", "MALFORMED_RESPONSE"), GOOD_SONAR],
        [USED, USED],
        [set(), set()],
        [0.5],
    ),
    "no usage": Case([behave("missing_usage")], [GOOD_SONAR], [USED], [set()]),
    "negative usage": Case([behave("usage", usage={"completion_tokens": -5})], [GOOD_SONAR], [USED], [set()]),
    "enormous usage": Case([behave("usage", usage={"prompt_tokens": 10**15})], [GOOD_SONAR], [USED], [set()]),
    "another model": Case(
        [behave("other_model", served_model="openai/gpt-4o-mini-2024-07-18")],
        [GOOD_SONAR],
        [USED],
        [{"MODEL_DRIFT"}],
    ),
    "hang": Case(
        [behave("hang")],
        [(SONAR, "SETTLED", "TIMEOUT"), GOOD_SONAR],
        [UNKNOWN, USED],
        [UNKNOWN_FLAGS, set()],
        [0.5],
    ),
    "cut before the answer": Case(
        [behave("cut_before_answer")],
        [(SONAR, "SETTLED", "CONNECTION_FAILED"), GOOD_SONAR],
        [UNKNOWN, USED],
        [UNKNOWN_FLAGS, set()],
        [0.5],
    ),
    "cut in the answer": Case(
        [behave("cut")],
        [(SONAR, "SETTLED", "CONNECTION_FAILED"), GOOD_SONAR],
        [USED, USED],
        [set(), set()],
        [0.5],
    ),
    "unparsable once": Case(
        [behave("unparsable")],
        [(SONAR, "SETTLED", "UNPARSABLE_RESULT"), GOOD_SONAR],
        [USED, USED],
        [set(), set()],
    ),
    "unparsable for ever": Case(
        [behave("unparsable", times=None)],
        [(SONAR, "SETTLED", "UNPARSABLE_RESULT")] * 2 + [(MINI, "SETTLED", "UNPARSABLE_RESULT")] * 2,
        [USED] * 4,
        [set()] * 4,
        [],
        ErrorClass.UNPARSABLE_RESULT,
    ),
    "error inside a 200 with usage": Case(
        [behave("error_inside", with_usage=True)],
        [(SONAR, "SETTLED", "PROVIDER_ERROR"), GOOD_SONAR],
        [USED, USED],
        [set(), set()],
        [0.5],
    ),
    "401": Case(
        [behave("status", status=401)],
        [(SONAR, "VOIDED", "PROVIDER_UNAUTHORIZED")],
        [],
        [],
        [],
        ErrorClass.PROVIDER_UNAUTHORIZED,
    ),
    "402": Case(
        [behave("out_of_credits")],
        [(SONAR, "VOIDED", "INSUFFICIENT_CREDITS")],
        [],
        [],
        [],
        ErrorClass.INSUFFICIENT_CREDITS,
    ),
    "402 while calls are in flight": Case(
        [behave("in_flight_credits", retry_after="7", times=2)],
        [(SONAR, "VOIDED", "INSUFFICIENT_CREDITS")] * 2 + [GOOD_SONAR],
        [USED],
        [set()],
        [7.0, 7.0],
    ),
    "dearer than held": Case(
        [behave("cost", cost_usd=Decimal("0.5"))],
        [GOOD_SONAR],
        [USED],
        [{"OVERAGE", "PROVIDER_VARIANCE"}],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_route_class_and_ledger(bench: Bench, name: str) -> None:
    """Each behaviour has its route of models, its error classes, and its exact cost."""
    case = CASES[name]
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(*case.behaviours)
    if case.failed is None:
        assert isinstance(await bench.executor.execute(lease), IcpResult)
    else:
        with pytest.raises(StepFailed) as caught:
            await bench.executor.execute(lease)
        assert caught.value.error.error_class is case.failed
    calls = await bench.workflows.calls(lease)
    entries = await bench.entries(lease)
    assert route_of(calls) == list(case.route)
    assert kinds(entries) == case.kinds
    assert [flags(entry) for entry in entries] == case.flags
    assert bench.waits_seconds == case.waits_seconds
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


async def test_the_hold_bounds_the_call(bench: Bench) -> None:
    """The call is sent with the granted model, max_tokens and max_price, and costs no more than its hold."""
    lease = await bench.workflows.lease(Step.ICP)
    await bench.executor.execute(lease)
    [sent] = bench.simulator.calls
    [call] = await bench.workflows.calls(lease)
    authorization = await bench.client.get_authorization(
        organization_id=lease.organization_id, request_id=call.request_id
    )
    assert (
        (sent.model, sent.max_tokens)
        == (authorization.model, authorization.output_tokens_max)
        == (
            SONAR,
            700,
        )
    )
    assert authorization.input_tokens_max >= sent.input_tokens
    assert authorization.labels == {"step": "ICP"}
    assert authorization.on_expiry == 2  # CHARGE
    assert call.cost_nano_usd is not None
    assert call.held_nano_usd is not None
    assert 0 < call.cost_nano_usd <= call.held_nano_usd


async def test_a_provider_dearer_than_the_price_book_is_not_chosen(bench: Bench) -> None:
    """`max_price` is the authorization's price; no provider is that cheap, so the next model is asked."""
    lease = await bench.workflows.lease(Step.ICP)
    prices = {**PRICES, SONAR: replace(PRICES[SONAR], request_nano_usd=1)}
    async with Simulator(prices=prices) as dear:
        provider = OpenRouterClient(dear.base_url, "test-key", deadline_seconds=CALL_DEADLINE_SECONDS)
        executor = bench.another_executor(bench.another_caller(provider=provider))
        await executor.execute(lease)
        await provider.close()
    assert route_of(await bench.workflows.calls(lease)) == [(SONAR, "VOIDED", "UNKNOWN_MODEL"), GOOD_MINI]


async def test_a_fallback_can_be_disabled(bench: Bench) -> None:
    """With `disable_fallback` the first model is the only one."""
    caller = bench.another_caller(route=Route(disable_fallback=True))
    executor = bench.another_executor(caller)
    bench.simulator.misbehave(behave("unknown_model", model=SONAR))
    lease = await bench.workflows.lease(Step.ICP)
    with pytest.raises(StepFailed) as caught:
        await executor.execute(lease)
    assert caught.value.error.error_class is ErrorClass.UNKNOWN_MODEL
    assert len(bench.simulator.calls) == 1


async def test_a_denied_budget_sends_nothing(bench: Bench) -> None:
    """BUDGET_EXCEEDED becomes BUDGET_DENIED, which is final, and no model is called."""
    lease = await bench.workflows.lease(Step.ICP)
    await bench.set_limit(lease, 1000)
    with pytest.raises(StepFailed) as caught:
        await bench.executor.execute(lease)
    error = caught.value.error
    assert (error.error_class, error.reason) == (ErrorClass.BUDGET_DENIED, "BUDGET_EXCEEDED")
    assert bench.simulator.calls == ()
    assert route_of(await bench.workflows.calls(lease)) == [(None, "VOIDED", "BUDGET_DENIED")]
    await bench.assert_books_agree(lease)


async def test_a_tight_budget_grants_the_cheaper_model(bench: Bench) -> None:
    """The governor grants the first candidate that fits, and that model is called."""
    lease = await bench.workflows.lease(Step.ICP)
    await bench.set_limit(lease, 1_200_000)
    await bench.executor.execute(lease)
    assert [call.model for call in bench.simulator.calls] == [MINI]
    await bench.assert_books_agree(lease)


async def test_no_governor_no_model_call(bench: Bench, unused_tcp_port: int) -> None:
    """I14: without an answer from the governor no call is sent, and the row is left to be voided."""
    async with GovernorClient.connect(f"127.0.0.1:{unused_tcp_port}") as nobody:
        executor = bench.another_executor(bench.another_caller(client=nobody))
        lease = await bench.workflows.lease(Step.ICP)
        with pytest.raises(StepFailed) as caught:
            await executor.execute(lease)
    assert caught.value.error.error_class is ErrorClass.GOVERNOR_UNAVAILABLE
    assert bench.simulator.calls == ()
    assert route_of(await bench.workflows.calls(lease)) == [(None, "VOIDING", "GOVERNOR_UNAVAILABLE")]

    again = await bench.workflows.fail_and_claim(lease)
    await bench.executor.execute(again)
    calls = await bench.workflows.calls(lease)
    assert route_of(calls) == [(None, "VOIDED", "GOVERNOR_UNAVAILABLE"), GOOD_SONAR]
    assert [call.attempt for call in calls] == [1, 2]
    await bench.assert_books_agree(lease)


async def test_a_failed_step_run_anew_pays_only_for_what_it_lacks(bench: Bench) -> None:
    """The first competitor's answer is used again, and attempt numbers continue."""
    lease = await bench.workflows.lease(Step.COMPETITOR)
    first, second = lease.workflow.profile.competitor_urls
    # The first competitor gets an answer; the second gets a final refusal.
    bench.simulator.misbehave(
        behave("slow", seconds=0.05), behave("status", status=403, message="not for you")
    )
    with pytest.raises(StepFailed) as caught:
        await bench.executor.execute(lease)
    assert caught.value.error.error_class is ErrorClass.FORBIDDEN
    paid = await bench.entries(lease)
    assert len(paid) == 1

    again = await bench.workflows.fail_and_claim(lease)
    result = await bench.executor.execute(again)
    assert isinstance(result, CompetitorResult)
    assert {keyword.competitor_url for keyword in result.keywords} == {first, second}
    calls = await bench.workflows.calls(lease)
    assert [(call.item, call.attempt, call.state.value) for call in calls] == [
        (first, 1, "SETTLED"),
        (second, 1, "VOIDED"),
        (second, 2, "SETTLED"),
    ]
    assert (await bench.entries(lease))[:1] == paid
    await bench.assert_books_agree(lease)


@pytest.mark.parametrize("step", [Step.COMPETITOR, Step.CLUSTERING, Step.VALIDATION, Step.ARTICLE])
async def test_every_step_is_answered_by_the_simulator(bench: Bench, step: Step) -> None:
    """Each step's prompt, schema and token bound work with the simulator's answers."""
    lease = await bench.workflows.lease(step)
    await bench.executor.execute(lease)
    assert all(state == "SETTLED" for _, state, _ in route_of(await bench.workflows.calls(lease)))
    assert all(call.behaviour is None for call in bench.simulator.calls)
    await bench.assert_books_agree(lease)


async def test_what_is_logged_and_raised_bears_no_prompt_and_no_key(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """I15: the failure's text and the log name the failure, without the prompt and the key."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("moderated"))
    with pytest.raises(StepFailed) as caught:
        await bench.executor.execute(lease)
    said = f"{caught.value.error} {caught.value} {capsys.readouterr()}"
    assert caught.value.error.error_class is ErrorClass.FORBIDDEN
    assert "acme.example" not in said
    assert "test-key" not in said


async def test_a_key_that_the_provider_repeats_is_kept_nowhere(bench: Bench) -> None:
    """The key is removed from journal and ledger, and the call is charged as usual."""
    key = "sk-or-v1-0123456789abcdef"
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("other_model", served_model=f"vendor/{key}"))
    provider = OpenRouterClient(bench.simulator.base_url, key, deadline_seconds=CALL_DEADLINE_SECONDS)
    try:
        await bench.another_executor(bench.another_caller(provider=provider)).execute(lease)
    finally:
        await provider.close()
    rows = await bench.workflows.sql("SELECT i::text AS row FROM model_invocations AS i")
    entries = await bench.entries(lease)
    assert [entry.served_model for entry in entries] == [SONAR]
    assert key not in f"{rows} {entries}"
    await bench.assert_books_agree(lease)
