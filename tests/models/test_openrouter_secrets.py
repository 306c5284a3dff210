"""The API key and the prompts are in no error, no repr, no traceback and no log line."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from tests.models.http_server import API_KEY, REQUEST, answer, calling, failure, serving
from workflow_service.clients.openrouter import OpenRouterClient

PROMPT = REQUEST.messages[0]["content"]


@pytest.mark.parametrize(
    "error",
    [
        {"code": 400, "message": f"Invalid key {API_KEY}"},
        {"code": 401, "message": "Incorrect API key provided: sk-proj-abcdefghijkl"},
        {"code": 400, "message": f"messages.0: {PROMPT}"},
        {"code": 400, "message": f"messages.0: {PROMPT[:40]}\n{PROMPT[40:]}"},
        {"code": 403, "message": "flagged", "metadata": {"flagged_input": PROMPT, "raw": API_KEY}},
        {"code": 400, "message": f"\x1b[31m\u202e\0{'x' * 100_000}"},
        {"code": 400, "message": {"text": PROMPT}},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_a_provider_that_repeats_secrets(
    status: int, error: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its text is left out, or one short printable line."""
    caplog.set_level(logging.DEBUG)
    async with serving(answer(status, {"error": error})) as server, calling(server.base_url) as client:
        failed = await failure(client)
        shown = "\n".join(
            [str(failed), repr(failed), repr(failed.charge), repr(REQUEST), repr(client), caplog.text]
        )
        shown += "".join(traceback.format_exception(failed))
    assert API_KEY not in shown
    assert "sk-proj" not in shown
    assert PROMPT[:24] not in shown
    assert str(failed).isprintable()
    assert len(str(failed)) < 300


async def test_an_exception_of_the_transport_bears_no_request() -> None:
    """The chain of causes is cut: httpx's exceptions hold the request, its headers and its body."""
    async with serving(b"nonsense\r\n\r\n") as server, calling(server.base_url) as client:
        failed = await failure(client)
    assert failed.__cause__ is None
    assert failed.__suppress_context__


@pytest.mark.parametrize("key", ["", "sk-or-\nv1", "sk-or-ü", "sk-or-v1\x7f"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    """It is refused at the start, and not repeated."""
    with pytest.raises(ValueError, match="the API key is empty or has") as raised:
        OpenRouterClient("http://127.0.0.1:1/api/v1", key)
    assert not key or key not in str(raised.value)
