"""Every answer has one error class, and says whether money may have been spent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.models.http_server import REQUEST, answer, calling, completion, failure, serving
from workflow_service.clients.openrouter import ChargeKind
from workflow_service.domain.error_class import ErrorClass

NOT_CHARGED, UNKNOWN, USED = ChargeKind
IN_FLIGHT = (
    "This request would exceed your available credits given your current in-flight requests. "
    "Retry after in-flight requests settle, or add credits."
)
HTML = b"<!doctype html><html><body>502 Bad Gateway</body></html>"


def error(code: Any, message: str = "no", **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}}


def cut_off(finish_reason: str, **message: Any) -> dict[str, Any]:
    return completion(choices=[{"finish_reason": finish_reason, "message": {"content": None} | message}])


@pytest.mark.parametrize(
    ("status", "body", "error_class", "charge"),
    [
        (400, error(400, "openai/gpt-0 is not a valid model ID"), ErrorClass.UNKNOWN_MODEL, NOT_CHARGED),
        (400, error(400, "Invalid input"), ErrorClass.INVALID_REQUEST, NOT_CHARGED),
        (401, error(401, "No auth credentials found"), ErrorClass.PROVIDER_UNAUTHORIZED, NOT_CHARGED),
        (402, error(402, "Insufficient credits"), ErrorClass.INSUFFICIENT_CREDITS, NOT_CHARGED),
        (402, error(402, IN_FLIGHT), ErrorClass.INSUFFICIENT_CREDITS, NOT_CHARGED),
        (403, error(403, "Input was flagged", reasons=["x"]), ErrorClass.FORBIDDEN, NOT_CHARGED),
        (404, error(404, "No endpoints found for a/b."), ErrorClass.UNKNOWN_MODEL, NOT_CHARGED),
        (404, HTML, ErrorClass.INVALID_REQUEST, NOT_CHARGED),
        (408, error(408, "Request timed out"), ErrorClass.TIMEOUT, UNKNOWN),
        (413, error(413, "Request Entity Too Large"), ErrorClass.INVALID_REQUEST, NOT_CHARGED),
        (418, HTML, ErrorClass.INVALID_REQUEST, NOT_CHARGED),
        (422, error(422, "Unprocessable"), ErrorClass.UNPROCESSABLE, NOT_CHARGED),
        (429, error(429, "Rate limit exceeded"), ErrorClass.RATE_LIMITED, NOT_CHARGED),
        (429, HTML, ErrorClass.RATE_LIMITED, NOT_CHARGED),
        (500, error(500, "Internal Server Error"), ErrorClass.PROVIDER_ERROR, UNKNOWN),
        (502, error(502, "Provider returned error"), ErrorClass.PROVIDER_ERROR, UNKNOWN),
        (502, HTML, ErrorClass.PROVIDER_ERROR, UNKNOWN),
        (502, completion(error={"code": 502, "message": "x"}), ErrorClass.PROVIDER_ERROR, USED),
        (503, error(503, "No available model provider"), ErrorClass.PROVIDER_ERROR, NOT_CHARGED),
        (503, HTML, ErrorClass.PROVIDER_ERROR, UNKNOWN),
        (504, HTML, ErrorClass.TIMEOUT, UNKNOWN),
        (524, HTML, ErrorClass.TIMEOUT, UNKNOWN),
        (529, error(529, "Provider overloaded"), ErrorClass.PROVIDER_ERROR, NOT_CHARGED),
        (302, HTML, ErrorClass.INVALID_REQUEST, NOT_CHARGED),
        (200, completion(error={"code": 429, "message": "x"}), ErrorClass.RATE_LIMITED, USED),
        (200, error(429, "Rate limited upstream"), ErrorClass.RATE_LIMITED, UNKNOWN),
        (200, error(403, "flagged"), ErrorClass.FORBIDDEN, UNKNOWN),
        (200, error("server_error", "no number"), ErrorClass.PROVIDER_ERROR, UNKNOWN),
        (200, error(200, "no error's number"), ErrorClass.PROVIDER_ERROR, UNKNOWN),
        (
            200,
            completion(choices=[{"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]),
            ErrorClass.PROVIDER_ERROR,
            USED,
        ),
        (
            200,
            completion(choices=[{"finish_reason": "error", "message": {"content": "Hal"}}]),
            ErrorClass.PROVIDER_ERROR,
            USED,
        ),
        (200, HTML, ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b"", ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b"[]", ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b"null", ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b'{"id": NaN}', ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b'{"id": "\xff"}', ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b'{"a":' * 100_000, ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, b'{"a": ' + b"9" * 10_000 + b"}", ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, json.dumps(completion()).encode()[:-30], ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, {}, ErrorClass.MALFORMED_RESPONSE, UNKNOWN),
        (200, completion(choices=[]), ErrorClass.MALFORMED_RESPONSE, USED),
        (200, completion(choices=None), ErrorClass.MALFORMED_RESPONSE, USED),
        (200, completion(choices={}), ErrorClass.MALFORMED_RESPONSE, USED),
        (200, completion(choices=["x"]), ErrorClass.MALFORMED_RESPONSE, USED),
        (200, completion(choices=[{}]), ErrorClass.MALFORMED_RESPONSE, USED),
        (200, completion(choices=[{"message": "x"}]), ErrorClass.MALFORMED_RESPONSE, USED),
        (200, cut_off("length"), ErrorClass.OUTPUT_LIMIT_REACHED, USED),
        (200, cut_off("MAX_TOKENS", content=""), ErrorClass.OUTPUT_LIMIT_REACHED, USED),
        (200, cut_off("length", reasoning_content="Let me"), ErrorClass.OUTPUT_LIMIT_REACHED, USED),
        (200, cut_off("length") | {"usage": None}, ErrorClass.OUTPUT_LIMIT_REACHED, UNKNOWN),
    ],
)
async def test_failure_classes(
    status: int, body: bytes | dict[str, Any], error_class: ErrorClass, charge: ChargeKind
) -> None:
    """Each status and body has its class and charge."""
    async with serving(answer(status, body)) as server, calling(server.base_url) as client:
        failed = await failure(client)
    assert (failed.error_class, failed.charge.kind) == (error_class, charge)
    assert failed.http_status == status
    assert (failed.charge.usage is not None) == (charge is USED)
    assert len(str(failed)) < 300


@pytest.mark.parametrize(
    ("status", "body", "header", "expected"),
    [
        (429, error(429), "17", 17.0),
        (429, error(429), " 0 ", 0.0),
        (429, error(429), "Mon, 23 Nov 2026 10:00:30 GMT", 30.0),
        (429, error(429), "Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
        (429, error(429), "soon", None),
        (429, error(429), "-3", None),
        (429, error(429), "nan", None),
        (429, error(429), "9" * 400, None),
        (429, error(429), None, None),
        (429, error(429, retry_after_seconds=4.5), None, 4.5),
        (429, error(429, retry_after_seconds=-1), None, None),
        (503, error(503), "5", 5.0),
        (402, error(402, IN_FLIGHT), "5", 5.0),
        (402, error(402, reason="in_flight_budget_exhausted"), "5", 5.0),
        (402, error(402, limit_source="openrouter_in_flight_budget"), "5", 5.0),
        (402, error(402, IN_FLIGHT), None, None),
        (402, error(402, "Insufficient credits"), "5", None),
        (402, HTML, "5", None),
    ],
)
async def test_retry_after(
    status: int, body: bytes | dict[str, Any], header: str | None, expected: float | None
) -> None:
    """Seconds and HTTP-dates are accepted; a 402 has one only while calls in flight hold the credit."""
    now = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
    headers = {"Retry-After": header} if header is not None else {}
    async with (
        serving(answer(status, body, headers)) as server,
        calling(server.base_url, clock=lambda: now) as client,
    ):
        assert (await failure(client)).retry_after_seconds == expected


@pytest.mark.parametrize(
    ("changes", "text", "served_model", "finish_reason"),
    [
        ({}, "Hello.", "perplexity/sonar", "stop"),
        ({"model": "openai/gpt-4o-mini-2024-07-18"}, "Hello.", "openai/gpt-4o-mini-2024-07-18", "stop"),
        ({"model": None}, "Hello.", "perplexity/sonar", "stop"),
        ({"model": "x" * 201}, "Hello.", "perplexity/sonar", "stop"),
        ({"model": 7}, "Hello.", "perplexity/sonar", "stop"),
        ({"choices": [{"message": {"content": None}}]}, "", "perplexity/sonar", None),
        ({"choices": [{"message": {"content": "a\0b\ud800c"}}]}, "a\ufffdb\ufffdc", "perplexity/sonar", None),
        ({"choices": [{"message": {"content": "\U0001f600"}}]}, "\U0001f600", "perplexity/sonar", None),
    ],
)
async def test_completions(
    changes: dict[str, Any], text: str, served_model: str, finish_reason: str | None
) -> None:
    """The text is made storable; without a usable model name the requested model is the served one."""
    async with serving(answer(200, completion(**changes))) as server, calling(server.base_url) as client:
        completed = await client.complete(REQUEST)
    assert (completed.text, completed.served_model) == (text, served_model)
    assert (completed.finish_reason, completed.generation_id) == (finish_reason, "gen-1")


async def test_leading_white_space_is_no_fault() -> None:
    """OpenRouter sends leading white space to keep long calls alive."""
    body = b"\n   \n" * 1000 + json.dumps(completion()).encode()
    async with serving(answer(200, body)) as server, calling(server.base_url) as client:
        assert (await client.complete(REQUEST)).text == "Hello."


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (
            {"message": {"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]}},
            "Hello.",
        ),
        ({"message": {"content": ["Hel", {"type": "output_text", "text": "lo."}]}}, "Hello."),
        ({"message": {"content": [{"type": "thinking", "thinking": "Hm"}, {"text": "Hello."}]}}, "Hello."),
        ({"message": {"content": [{"type": "reasoning", "text": "Hm"}, {"text": "Hello."}]}}, "Hello."),
        ({"message": {"content": {"type": "text", "text": "Hello."}}}, "Hello."),
        ({"message": {"content": [{"type": "image_url", "image_url": {}}, None, 7]}}, ""),
        ({"message": {"content": []}}, ""),
        ({"message": {"content": None, "reasoning_content": "Hello."}}, "Hello."),
        ({"message": {"content": "", "reasoning": "Hello."}}, "Hello."),
        ({"message": {"reasoning_content": "Hello."}}, "Hello."),
        ({"message": {"content": "Hello.", "reasoning_content": "Hm"}}, "Hello."),
        ({"message": {"content": "Hel", "reasoning": "Hm"}, "finish_reason": "length"}, "Hel"),
        ({"message": {"content": None, "reasoning": {}}}, ""),
        ({"text": "Hello."}, "Hello."),
    ],
)
async def test_a_paid_answer_is_not_thrown_away_for_its_form(choice: dict[str, Any], text: str) -> None:
    """Text parts are joined; reasoning stands in for text where the answer has none and was not cut off."""
    async with (
        serving(answer(200, completion(choices=[choice]))) as server,
        calling(server.base_url) as client,
    ):
        assert (await client.complete(REQUEST)).text == text
