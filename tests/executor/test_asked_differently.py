"""An answer that is no use is asked for once more: with its mistake shown, or with more tokens."""

from __future__ import annotations

import json

import pytest

from tests.executor.conftest import MINI, PRICES, SONAR, Bench, kinds
from tests.executor.examples import INPUTS
from tests.executor.examples import answer as good_answer
from tests.executor.talk import (
    GOOD_SONAR,
    answer_document,
    assert_charged_as_billed,
    behave,
    route_of,
)
from tests.models.http_server import answer, serving
from workflow_service.app.execute_step import StepFailed
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.routing import Route
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpResult
from workflow_service.domain.workflow import Lease
from workflow_service.steps.icp import IcpStep
from workflow_service.steps.registry import MODEL_STEPS

TOKENS = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
CUT_SONAR = (SONAR, "SETTLED", "OUTPUT_LIMIT_REACHED")
SHORT = 100
"""Output tokens that no answer to ICP fits into; three times as many it fits into."""


def saying(lease: Lease, content: str, finish_reason: str = "stop") -> bytes:
    message = {"role": "assistant", "content": content}
    choices = [{"finish_reason": finish_reason, "message": message}]
    return answer(200, answer_document(lease, TOKENS, choices=choices))


async def received(
    bench: Bench, lease: Lease, *answers: bytes, models: tuple[str, ...]
) -> list[dict[str, object]]:
    """The requests of a step that these answers complete."""
    async with serving(*answers) as server:
        provider = OpenRouterClient(server.base_url, "test-key", deadline_seconds=5)
        executor = bench.another_executor(bench.another_caller(provider=provider, route=Route(models=models)))
        assert isinstance(await executor.execute(lease), IcpResult)
        await provider.close()
    return [json.loads(request.body) for request in server.received]


async def test_a_model_is_shown_its_mistake(bench: Bench) -> None:
    """The same question, its answer, and where that is wrong; both calls are charged, without a wait."""
    lease = await bench.workflows.lease(Step.ICP)
    bad = good_answer(Step.ICP, industries=[])
    first, second = await received(
        bench, lease, saying(lease, bad), saying(lease, good_answer(Step.ICP)), models=(SONAR,)
    )
    question, repaired = first["messages"], second["messages"]
    assert isinstance(question, list)
    assert isinstance(repaired, list)
    assert repaired[:2] == question
    shown, complaint = repaired[2:]
    assert shown == {"role": "assistant", "content": bad}
    assert complaint["role"] == "user"
    assert "industries" in complaint["content"]
    assert bench.waits_seconds == []
    assert kinds(await bench.entries(lease)) == ["USAGE", "USAGE"]
    await bench.assert_books_agree(lease)


async def test_what_is_shown_is_bounded_and_held(bench: Bench) -> None:
    """Of an enormous answer the beginning; its tokens are in the hold."""
    lease = await bench.workflows.lease(Step.ICP)
    _, second = await received(
        bench,
        lease,
        saying(lease, "ü" * 100_000),
        saying(lease, good_answer(Step.ICP)),
        models=(SONAR,),
    )
    messages = second["messages"]
    assert isinstance(messages, list)
    assert messages[2]["content"] == "ü" * 6000
    [_, repair] = await bench.workflows.calls(lease)
    hold = await bench.client.get_authorization(
        organization_id=lease.organization_id, request_id=repair.request_id
    )
    assert hold.input_tokens_max >= sum(len(message["content"].encode()) for message in messages)


async def test_the_next_model_is_not_shown_the_mistakes_of_another(bench: Bench) -> None:
    """After the one repair, the plain question goes to it."""
    lease = await bench.workflows.lease(Step.ICP)
    bad, good = saying(lease, "Sure!"), saying(lease, good_answer(Step.ICP))
    requests = await received(bench, lease, bad, bad, good, models=(SONAR, MINI))
    assert [request["model"] for request in requests] == [SONAR, SONAR, MINI]
    assert requests[2]["messages"] == requests[0]["messages"]


async def test_an_empty_answer_is_not_shown(bench: Bench) -> None:
    """Providers refuse messages without text, so the plain question is asked again."""
    lease = await bench.workflows.lease(Step.ICP)
    first, second = await received(
        bench, lease, saying(lease, " \n"), saying(lease, good_answer(Step.ICP)), models=(SONAR,)
    )
    assert first["messages"] == second["messages"]


@pytest.mark.parametrize("step", list(MODEL_STEPS))
def test_a_repair_is_bounded_by_the_bytes_sent(step: Step) -> None:
    """As every prompt is: a tokenizer makes no more tokens than bytes."""
    work = MODEL_STEPS[step]
    prompt = work.prompt(work.items(INPUTS[step])[0].payload).repairing("日本語" * 9000, "title: missing")
    sent = json.dumps([prompt.messages, prompt.schema], ensure_ascii=False).encode()
    assert prompt.input_tokens_max >= len(sent)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IcpStep, "output_tokens_max", SHORT)


@pytest.mark.usefixtures("short")
async def test_an_answer_that_was_cut_off_gets_more_tokens(bench: Bench) -> None:
    """Three times as many, from the same model, at once."""
    lease = await bench.workflows.lease(Step.ICP)
    await bench.executor.execute(lease)
    assert [call.max_tokens for call in bench.simulator.calls] == [SHORT, 3 * SHORT]
    assert route_of(await bench.workflows.calls(lease)) == [CUT_SONAR, GOOD_SONAR]
    assert bench.waits_seconds == []
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


def hold_of_sonar(lease: Lease, output_tokens: int) -> int:
    work = MODEL_STEPS[Step.ICP]
    prompt = work.prompt(work.items(lease.input)[0].payload)
    return PRICES[SONAR].cost_nano_usd(input_tokens=prompt.input_tokens_max, output_tokens=output_tokens)


@pytest.mark.usefixtures("short")
async def test_a_budget_that_has_fewer_grants_fewer(bench: Bench) -> None:
    """Half as many again are enough to try."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("output_limit"))
    hold = hold_of_sonar(lease, 2 * SHORT)
    # The first call costs its input, which is no more than the bound, and its output.
    await bench.set_limit(lease, hold + hold_of_sonar(lease, SHORT))
    await bench.another_executor(bench.another_caller(route=Route(models=(SONAR,)))).execute(lease)
    first, second = bench.simulator.calls
    assert first.max_tokens == SHORT
    assert 2 * SHORT <= second.max_tokens <= 3 * SHORT
    await bench.assert_books_agree(lease)


@pytest.mark.parametrize("models", [(SONAR, MINI), (SONAR,)], ids=["another model", "no other model"])
@pytest.mark.usefixtures("short")
async def test_a_budget_that_has_no_more(bench: Bench, models: tuple[str, ...]) -> None:
    """The next model is asked; without one the step fails for the budget. No ceiling is tried again."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("output_limit", model=SONAR, times=None))
    await bench.set_limit(lease, hold_of_sonar(lease, SHORT))
    executor = bench.another_executor(bench.another_caller(route=Route(models=models)))
    if len(models) == 1:
        with pytest.raises(StepFailed) as caught:
            await executor.execute(lease)
        assert caught.value.error.error_class is ErrorClass.BUDGET_DENIED
        asked: list[tuple[str, int]] = [(SONAR, SHORT)]
    else:
        await executor.execute(lease)
        asked = [(SONAR, SHORT), (MINI, SHORT), (MINI, 3 * SHORT)]
    assert [(call.model, call.max_tokens) for call in bench.simulator.calls] == asked
    await bench.assert_books_agree(lease)


@pytest.mark.usefixtures("short")
async def test_another_run_goes_on_from_the_ceiling(bench: Bench) -> None:
    """No ceiling is paid for twice, whichever run it was cut off in."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("output_limit", times=4))
    executor = bench.another_executor(bench.another_caller(route=Route(models=(SONAR,))))
    for _ in range(2):
        with pytest.raises(StepFailed) as caught:
            await executor.execute(lease)
        assert caught.value.error.error_class is ErrorClass.OUTPUT_LIMIT_REACHED
        lease = await bench.workflows.fail_and_claim(lease)
    await executor.execute(lease)
    ceilings = [call.max_tokens for call in bench.simulator.calls]
    assert ceilings == [SHORT * 3**power for power in range(5)]
    await bench.assert_books_agree(lease)


async def test_an_answer_that_was_cut_off_and_parses_is_used(bench: Bench) -> None:
    """The reason does not matter where the answer is whole."""
    lease = await bench.workflows.lease(Step.ICP)
    requests = await received(bench, lease, saying(lease, good_answer(Step.ICP), "length"), models=(SONAR,))
    assert len(requests) == 1


async def test_an_answer_that_the_provider_holds_back(bench: Bench) -> None:
    """Moderation of an answer is final, as that of a question is; what it cost is charged."""
    lease = await bench.workflows.lease(Step.ICP)
    async with serving(saying(lease, "", "content_filter")) as server:
        provider = OpenRouterClient(server.base_url, "test-key", deadline_seconds=5)
        with pytest.raises(StepFailed) as caught:
            await bench.another_executor(bench.another_caller(provider=provider)).execute(lease)
        await provider.close()
    assert caught.value.error.error_class is ErrorClass.FORBIDDEN
    assert len(server.received) == 1
    assert kinds(await bench.entries(lease)) == ["USAGE"]
    await bench.assert_books_agree(lease)
