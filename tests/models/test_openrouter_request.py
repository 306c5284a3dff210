"""The request has exactly the granted max_tokens, and the authorization's prices as max_price."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.models.http_server import API_KEY, REQUEST, answer, calling, completion, serving
from workflow_service.clients.openrouter import MaxPrice


async def test_the_request_as_the_server_gets_it() -> None:
    """Model, messages, bound, temperature, schema, usage accounting and key are in OpenRouter's fields."""
    request = replace(
        REQUEST,
        messages=({"role": "user", "content": "Zürich \ud800"},),
        response_format={"type": "json_schema", "json_schema": {"name": "icp", "schema": {}}},
        user="organization-7",
    )
    async with serving(answer(200, completion())) as server, calling(server.base_url) as client:
        await client.complete(request)
    (received,) = server.received
    assert received.head.startswith("POST /api/v1/chat/completions HTTP/1.1")
    assert received.headers["authorization"] == f"Bearer {API_KEY}"
    assert received.headers["accept-encoding"] == "identity"
    assert json.loads(received.body, parse_float=Decimal) == {
        "model": "perplexity/sonar",
        "messages": [{"role": "user", "content": "Zürich \ud800"}],
        "max_tokens": 700,
        "temperature": Decimal("0.3"),
        "stream": True,
        "usage": {"include": True},
        "stream_options": {"include_usage": True},
        "response_format": {"type": "json_schema", "json_schema": {"name": "icp", "schema": {}}},
        "user": "organization-7",
        "provider": {"max_price": {"prompt": 1, "completion": 1, "request": Decimal("0.012")}},
    }


@pytest.mark.parametrize(
    ("nano_usd", "usd"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (150_000_000, "0.15"),
        (9_999_999_999_999, "9999.999999999"),
        (10**13, "10000"),
        (123_456_789_012_345_678, "123456789.012345678"),
    ],
)
async def test_prices_lose_nothing_on_their_way_into_json(nano_usd: int, usd: str) -> None:
    """Prices are exact JSON numbers that were never a float."""
    request = replace(REQUEST, max_price=MaxPrice(nano_usd, nano_usd, nano_usd))
    async with serving(answer(200, completion())) as server, calling(server.base_url) as client:
        await client.complete(request)
    document = json.loads(server.received[0].body, parse_float=Decimal, parse_int=Decimal)
    assert document["provider"]["max_price"] == {
        "prompt": Decimal(usd),
        "completion": Decimal(usd),
        "request": Decimal(usd),
    }
