"""The API key and the prompts appear in no error, repr, traceback, log line or stored value."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

import pytest

from tests.models.http_server import API_KEY, REQUEST, answer, calling, completion, failure, serving
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.error_class import ErrorClass

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
        {"code": 400, "message": f"{'x ' * 95}{API_KEY}"},
        {"code": 400, "message": API_KEY.upper()},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_a_provider_that_repeats_secrets(
    status: int, error: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The text of an error is left out, or becomes one short printable line without secrets."""
    caplog.set_level(logging.DEBUG)
    async with serving(answer(status, {"error": error})) as server, calling(server.base_url) as client:
        failed = await failure(client)
        shown = "\n".join(
            [str(failed), repr(failed), repr(failed.charge), repr(REQUEST), repr(client), caplog.text]
        )
        shown += "".join(traceback.format_exception(failed))
    assert API_KEY[:10].lower() not in shown.lower()
    assert "sk-proj" not in shown
    assert PROMPT[:24] not in shown
    assert str(failed).isprintable()
    assert len(str(failed)) < 300


SECRETS = {
    "the key": API_KEY,
    "the key in capitals": API_KEY.upper(),
    "another key": "sk-or-v1-0123456789abcdef0123",
    "a prompt": PROMPT[:39],
}


def _choice(content: str = "Hello.", finish_reason: str = "stop") -> list[dict[str, Any]]:
    return [{"finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("place", ["id", "header", "model", "finish_reason", "error's id", "error's header"])
async def test_a_name_that_repeats_a_secret(place: str, secret: str) -> None:
    """An id or model with a secret counts as missing, since both are stored in journal and ledger."""
    text = f"a/{secret}"
    header = {"X-Generation-Id": text}
    raw = {
        "id": answer(200, completion(id=text)),
        "header": answer(200, completion(id=None), header),
        "model": answer(200, completion(model=text)),
        "finish_reason": answer(200, completion(choices=_choice(finish_reason=text))),
        "error's id": answer(502, completion(id=text, model=text, error={"code": 502, "message": "x"})),
        "error's header": answer(502, {"error": {"code": 502, "message": "x"}}, header),
    }[place]
    kept: object
    async with serving(raw) as server, calling(server.base_url) as client:
        if place.startswith("error"):
            kept = (await failure(client)).charge
        else:
            completed = await client.complete(REQUEST)
            assert completed.usage is not None, "what it used is settled all the same"
            assert completed.served_model == REQUEST.model
            kept = completed
    assert secret not in repr(kept)


async def test_a_record_that_repeats_the_key() -> None:
    """A record's usage is read, and a model name with the key is left out."""
    record = {"model": f"a/{API_KEY}", "tokens_prompt": 1, "tokens_completion": 1}
    async with serving(answer(200, {"data": record})) as server, calling(server.base_url) as client:
        found = await client.generation("gen-1")
    assert found is not None
    assert (found.served_model, found.usage is None) == (None, False)


async def test_a_generation_id_of_an_answer_that_never_ends() -> None:
    """A generation id that repeats the key is left out of a timeout's failure."""

    async def hang(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 X\r\nX-Generation-Id: {API_KEY}\r\nContent-Length: 9\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(5)

    async with serving(hang) as server, calling(server.base_url, deadline_seconds=0.5) as client:
        failed = await failure(client)
    assert (failed.error_class, failed.charge.generation_id) == (ErrorClass.TIMEOUT, None)


async def test_an_answer_that_repeats_the_key() -> None:
    """The key is removed and the rest of the answer used, since it was paid for."""
    body = completion(choices=_choice(f'{{"title": "Use {API_KEY}"}}'))
    async with serving(answer(200, body)) as server, calling(server.base_url) as client:
        completed = await client.complete(REQUEST)
    assert completed.text == '{"title": "Use [removed]"}'


async def test_a_placeholder_is_no_key() -> None:
    """A local server accepts any key, so an answer may contain that word."""
    body = completion(model="local/model", choices=_choice("all local"))
    async with serving(answer(200, body)) as server:
        client = OpenRouterClient(server.base_url, "local")
        completed = await client.complete(REQUEST)
        await client.close()
    assert (completed.text, completed.served_model) == ("all local", "local/model")


async def test_an_exception_of_the_transport_bears_no_request() -> None:
    """The exception has no cause: httpx's exceptions contain the request, its headers and its body."""
    async with serving(b"nonsense\r\n\r\n") as server, calling(server.base_url) as client:
        failed = await failure(client)
    assert failed.__cause__ is None
    assert failed.__suppress_context__


@pytest.mark.parametrize("key", ["", "sk-or-\nv1", "sk-or-ü", "sk-or-v1\x7f"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    """The key is refused at the start, and the error does not repeat it."""
    with pytest.raises(ValueError, match="the API key is empty or has") as raised:
        OpenRouterClient("http://127.0.0.1:1/api/v1", key)
    assert not key or key not in str(raised.value)
