"""Errors are understood as other servers of OpenAI's API word them, with an error status and inside a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.models.http_server import answer, calling, failure, serving
from workflow_service.clients.openrouter import (
    NOT_CHARGED,
    Charge,
    ChargeKind,
    ModelCallFailed,
    TokenUsage,
)
from workflow_service.domain.error_class import ErrorClass

UNKNOWN_MODEL = ErrorClass.UNKNOWN_MODEL
LITELLM = "Invalid model name passed in model=gpt-0. Call `/v1/models` to view available models for your key."


def error(code: Any, message: Any = "no", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


async def failed(status: int, body: Any, headers: dict[str, str] | None = None) -> ModelCallFailed:
    async with (
        serving(answer(status, json.dumps(body).encode(), headers)) as server,
        calling(server.base_url) as client,
    ):
        return await failure(client)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error(400, "openai/gpt-0 is not a valid model ID")),
        (400, error("400", LITELLM, type="None", param="None")),
        (400, error("400", {"error": f"/chat/completions: {LITELLM}"})),
        (400, error("400", f"400: {{'error': '{LITELLM}'}}")),
        (400, error("model_not_found", "The requested model 'gpt-0' does not exist")),
        (403, error("model_not_found", "Project `p` does not have access to model `gpt-0`")),
        (400, error("model_not_supported", "The requested model is not supported by any provider")),
        (400, error("unknown_model", "Unknown model: gpt-0")),
        (400, {"object": "error", "message": "Invalid model: gpt-0", "type": "invalid_model", "code": 15}),
        (400, error("invalid_request_error", "Model Not Exist")),
        (404, error("model_not_found", "The model `gpt-0` does not exist or you do not have access to it.")),
        (404, error("DeploymentNotFound", "The API deployment for this resource does not exist.")),
        (404, error(404, "No endpoints found for a/b.")),
        (404, {"object": "error", "message": "The model `gpt-0` does not exist.", "code": 404}),
        (404, {"error": 'model "gpt-0" not found, try pulling it first'}),
        (404, {"code": "Some entity was not found", "error": "The model gpt-0 does not exist or ..."}),
        (404, {"detail": "Model 'gpt-0' was not found"}),
        (404, {"message": "model 'gpt-0' not found, make sure the correct model ID was used"}),
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-0"}}),
        (404, [error(404, "models/gpt-0 is not found for API version v1main", status="NOT_FOUND")]),
        (200, error(400, LITELLM)),
        (200, error("model_not_found", "no")),
        (200, error(None, "The model `gpt-0` does not exist.")),
    ],
)  # fmt: skip
async def test_an_unknown_model(status: int, body: Any) -> None:
    """However it is said; refused with an error status it has cost nothing."""
    refused = await failed(status, body)
    assert refused.error_class is UNKNOWN_MODEL
    assert (refused.charge.kind is ChargeKind.NOT_CHARGED) == (status != 200)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"detail": "Not Found"}),
        (404, {"status": 404, "error": "Not Found", "path": "/api/v1/chat/completions"}),
        (404, []),
        (404, ["x"]),
        (400, error(400, "Invalid model parameters: temperature")),
        (400, error("400", "The prompt does not fit")),
        (400, {"message": 7}),
    ],
)
async def test_what_is_no_unknown_model(status: int, body: Any) -> None:
    """A wrong address and a wrong parameter: another model would not help."""
    assert (await failed(status, body)).error_class is ErrorClass.INVALID_REQUEST


WORDS = [
    ("rate_limit_exceeded", ErrorClass.RATE_LIMITED),
    ("insufficient_quota", ErrorClass.INSUFFICIENT_CREDITS),
    ("invalid_api_key", ErrorClass.PROVIDER_UNAUTHORIZED),
    ("content_filter", ErrorClass.FORBIDDEN),
    ("context_length_exceeded", ErrorClass.INVALID_REQUEST),
    ("429", ErrorClass.RATE_LIMITED),
    (" 402 ", ErrorClass.INSUFFICIENT_CREDITS),
    ("503", ErrorClass.PROVIDER_ERROR),
]


@pytest.mark.parametrize(("word", "error_class"), WORDS)
@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_word_for_a_code(status: int, word: str, error_class: ErrorClass) -> None:
    """It says the class, also where the status says less."""
    assert (await failed(status, error(word))).error_class is error_class


@pytest.mark.parametrize(
    ("status", "body", "error_class"),
    [
        # OpenAI's status for credit that is used up is that of a rate limit.
        (429, error("insufficient_quota", "You exceeded your quota"), ErrorClass.INSUFFICIENT_CREDITS),
        (429, error(None, "x", type="rate_limit_error"), ErrorClass.RATE_LIMITED),
        (429, [error(429, "Resource exhausted", status="RESOURCE_EXHAUSTED")], ErrorClass.RATE_LIMITED),
        (400, error("400", "Budget exceeded!", type="budget_exceeded"), ErrorClass.INSUFFICIENT_CREDITS),
        (529, error(None, "Overloaded", type="overloaded_error"), ErrorClass.PROVIDER_ERROR),
        # The status is not overruled by a number or a word that says less.
        (401, error(400, "x", type="invalid_request_error"), ErrorClass.PROVIDER_UNAUTHORIZED),
        (504, error("server_error"), ErrorClass.TIMEOUT),
        (500, error("1302", "x"), ErrorClass.PROVIDER_ERROR),
        (400, error("server_error"), ErrorClass.INVALID_REQUEST),
        (200, error("invalid_request_error"), ErrorClass.INVALID_REQUEST),
        (200, error(None, "x", type="timeout_error"), ErrorClass.TIMEOUT),
        (200, error("server_error"), ErrorClass.PROVIDER_ERROR),
        (200, {"error": "upstream connect error"}, ErrorClass.PROVIDER_ERROR),
        (200, {"object": "error", "message": "x", "code": "429"}, ErrorClass.RATE_LIMITED),
        (200, {"choices": [error("rate_limit_exceeded")]}, ErrorClass.RATE_LIMITED),
        (200, {"error": {}, "choices": []}, ErrorClass.MALFORMED_RESPONSE),
    ],
)  # fmt: skip
async def test_words_and_numbers_together(status: int, body: Any, error_class: ErrorClass) -> None:
    """What says more goes before what says less."""
    assert (await failed(status, body)).error_class is error_class


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize(
    ("usage", "charge"),
    [
        ({"cost": 0.01}, Charge(ChargeKind.UNKNOWN, provider_cost_nano_usd=10_000_000)),
        (
            {"prompt_tokens": 12, "completion_tokens": 0, "cost": 0.01},
            Charge(ChargeKind.USED, TokenUsage(12, 0), 10_000_000),
        ),
        ({"prompt_tokens": 12, "completion_tokens": 0}, Charge(ChargeKind.USED, TokenUsage(12, 0))),
        ({"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}, NOT_CHARGED),
        ({"cost": 0}, NOT_CHARGED),
        (None, NOT_CHARGED),
    ],
)
async def test_a_refusal_costs_what_it_says(status: int, usage: Any, charge: Charge) -> None:
    """Nothing, unless it has a usage or a cost."""
    assert (await failed(status, error(status) | {"usage": usage})).charge == charge


async def test_credit_that_is_used_up_is_not_waited_for() -> None:
    """OpenAI says so with a 429; its Retry-After is for rate limits."""
    headers = {"Retry-After": "20"}
    assert (await failed(429, error("insufficient_quota"), headers)).retry_after_seconds is None
    assert (await failed(429, error("rate_limit_exceeded"), headers)).retry_after_seconds == 20.0


async def test_the_text_of_another_servers_error_is_shown() -> None:
    """The message for people is found wherever it stands."""
    for body in (
        {"error": "out of memory"},
        {"detail": "out of memory"},
        error(1, {"error": "out of memory"}),
    ):
        assert str(await failed(500, body)) == "the provider answered 500: out of memory"
