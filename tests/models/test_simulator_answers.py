"""The simulator answers every step's prompt with content that the step accepts, and bills like a provider."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.models.http_server import REQUEST, calling, failure
from workflow_service.clients.openrouter import (
    Completion,
    CompletionRequest,
    GenerationRecord,
    MaxPrice,
    OpenRouterClient,
    TokenUsage,
)
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    ArticleInput,
    ArticleResult,
    ClusteringInput,
    ClusteringResult,
    CompetitorInput,
    CompetitorResult,
    IcpInput,
    IcpResult,
    Line,
    Sentence,
    StepInput,
    StepResult,
    ValidationInput,
    ValidationResult,
    check_result,
)
from workflow_service.simulator import Simulator
from workflow_service.steps.model_step import Answer, answer_schema
from workflow_service.steps.registry import MODEL_STEPS

WORKFLOW = UUID("7a0f8bd6-14d7-4b10-9a3c-6d1f0c5f9a11")
SONAR_PRICE = MaxPrice(1_000_000_000, 1_000_000_000, 12_000_000)
MINI = "openai/gpt-4o-mini"


async def run(client: OpenRouterClient, step: Step, step_input: StepInput) -> Any:
    """The step's result from one call per item, built as the executor builds it."""
    work = MODEL_STEPS[step]
    answers = []
    for item in work.items(step_input):
        prompt = work.prompt(item.payload)
        completed = await client.complete(
            CompletionRequest(
                model="perplexity/sonar",
                messages=prompt.messages,
                max_tokens=work.output_tokens_max,
                max_price=SONAR_PRICE,
                response_format=prompt.response_format,
            )
        )
        assert completed.finish_reason == "stop"
        assert completed.usage is not None
        assert completed.usage.input_tokens <= prompt.input_tokens_max
        answers.append(work.parse(item.payload, completed.text))
    result = work.combine(WORKFLOW, step_input, answers)
    check_result(step_input, result)
    return result


async def run_all(client: OpenRouterClient, name: str, competitors: tuple[str, ...]) -> list[StepResult]:
    icp: IcpResult = await run(
        client, Step.ICP, IcpInput(organization_name=name, organization_url="https://acme.example")
    )
    found: CompetitorResult = await run(
        client, Step.COMPETITOR, CompetitorInput(icp=icp, competitor_urls=competitors)
    )
    clustered: ClusteringResult = await run(client, Step.CLUSTERING, ClusteringInput(keywords=found.keywords))
    judged: ValidationResult = await run(
        client, Step.VALIDATION, ValidationInput(icp=icp, clusters=clustered.clusters)
    )
    valid = tuple(c for c in clustered.clusters if c.cluster_id in judged.valid_cluster_ids)
    written: ArticleResult = await run(
        client, Step.ARTICLE, ArticleInput(organization_name=name, icp=icp, clusters=valid)
    )
    for article, cluster in zip(written.articles, valid, strict=True):
        assert cluster.pillar_keyword.removeprefix("how to improve ") in article.body_markdown
        assert 200 < len(article.body_markdown.split()) < 1500
    return [icp, found, clustered, judged, written]


@pytest.mark.parametrize(
    ("name", "competitors"),
    [
        ("Mollie", ("https://stripe.com", "https://www.adyen.com", "https://www.klarna.com")),
        ("Acme", ("https://one.example",)),
        ("Ärzte & Söhne 日本語", ("http://10.0.0.1",)),
        ("x" * 200, tuple(f"https://competitor-{number}.example/{'p' * 300}" for number in range(10))),
    ],
)
async def test_a_whole_workflow_is_answered(name: str, competitors: tuple[str, ...]) -> None:
    """Every step accepts its answer, within the tokens; a second run gives the same answers."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        first = await run_all(client, name, competitors)
        assert await run_all(client, name, competitors) == first
        assert [call.step for call in simulator.calls[:2]] == ["icp", "competitor"]


class _Section(Answer):
    cluster_id: UUID
    heading: Line
    words: int


class _Outline(Answer):
    summary: Sentence
    pillar_keyword: Line
    is_done: bool
    confidence: float
    keywords: tuple[Line, ...]
    sections: tuple[_Section, ...]


async def test_a_step_that_it_has_no_content_for() -> None:
    """For an unknown step the answer fits the schema, with fields of the same name from the prompt."""
    clusters = [UUID(int=number) for number in (1, 2)]
    document = {
        "pillar_keyword": "seo tools",
        "keywords": ["a", "b"],
        "sections": [{"cluster_id": str(cluster)} for cluster in clusters],
    }
    schema = {"name": "outline", "strict": True, "schema": answer_schema(_Outline)}
    request = replace(
        REQUEST,
        messages=({"role": "user", "content": f"Work on this:\n\n{json.dumps(document)}"},),
        response_format={"type": "json_schema", "json_schema": schema},
    )
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        completed = await client.complete(request)
    outline = _Outline.model_validate_json(completed.text)
    assert (outline.pillar_keyword, outline.keywords) == ("seo tools", ("a", "b"))
    assert [section.cluster_id for section in outline.sections] == clusters


async def test_the_bill_is_exact() -> None:
    """Tokens are bytes over four, sonar's fee per request is in the cost, and the record has the same."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        sonar = await client.complete(REQUEST)
        mini = await client.complete(replace(REQUEST, model=MINI))
        records = [await client.generation(done.generation_id or "") for done in (sonar, mini)]
    content = REQUEST.messages[0]["content"]
    usage = TokenUsage(-(-len(content) // 4), -(-len(sonar.text) // 4))
    assert (sonar.usage, mini.usage) == (usage, usage)
    assert sonar.provider_cost_nano_usd == (usage.input_tokens + usage.output_tokens) * 1000 + 12_000_000
    assert mini.provider_cost_nano_usd == usage.input_tokens * 150 + usage.output_tokens * 600
    assert records == [_record(sonar), _record(mini)]
    assert [call.billed_nano_usd for call in simulator.calls] == [
        sonar.provider_cost_nano_usd,
        mini.provider_cost_nano_usd,
    ]


def _record(completed: Completion) -> GenerationRecord:
    return GenerationRecord(
        completed.generation_id or "",
        completed.served_model,
        completed.usage,
        completed.provider_cost_nano_usd,
    )


async def test_max_tokens_cuts_the_answer() -> None:
    """The output has no more tokens than granted, and the finish reason is "length"."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        cut = await client.complete(replace(REQUEST, max_tokens=5))
    assert cut.finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.output_tokens == 5


@pytest.mark.parametrize(
    "price",
    [
        replace(SONAR_PRICE, input_nano_usd_per_mtok=999_999_999),
        replace(SONAR_PRICE, output_nano_usd_per_mtok=999_999_999),
        replace(SONAR_PRICE, request_nano_usd=11_999_999),
    ],
)
async def test_max_price_is_respected_to_the_nano_dollar(price: MaxPrice) -> None:
    """A model above max_price is not served, and costs nothing."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        failed = await failure(client, replace(REQUEST, max_price=price))
    assert (failed.error_class, failed.http_status) == (ErrorClass.UNKNOWN_MODEL, 404)


async def test_refusals_in_openrouters_shape() -> None:
    """No key gives 401, a bad request 400 with the field, an unknown model its text; nothing is billed."""
    chat = {"model": "openai/gpt-0", "messages": [{"role": "user", "content": "a secret"}], "max_tokens": 1}
    async with Simulator() as simulator, httpx.AsyncClient(base_url=simulator.base_url) as http:
        anonymous = await http.post("/chat/completions", json=chat)
        http.headers["Authorization"] = "Bearer any"
        unknown = await http.post("/chat/completions", json=chat)
        bad = await http.post("/chat/completions", json={**chat, "max_tokens": 0})
        models = (await http.get("/models")).json()["data"]
        assert simulator.calls[0].billed_nano_usd == 0
    assert anonymous.json() == {"error": {"code": 401, "message": "No auth credentials found"}}
    assert unknown.json() == {"error": {"code": 400, "message": "openai/gpt-0 is not a valid model ID"}}
    assert bad.json() == {"error": {"code": 400, "message": "Invalid input: max_tokens"}}
    prices = {model["id"]: model["pricing"] for model in models}
    assert prices["perplexity/sonar"] == {
        "prompt": "0.000001000000000",
        "completion": "0.000001000000000",
        "request": "0.012000000",
    }


async def test_many_calls_at_once() -> None:
    """A hundred calls at once are all answered, each with a different id."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        done = await asyncio.gather(*(client.complete(REQUEST) for _ in range(100)))
        assert len({completed.generation_id for completed in done}) == 100
        assert len(simulator.calls) == 100
