"""A completion as OpenRouter streams it: server-sent events, or what a script makes of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from workflow_service.simulator.behaviours import StreamForm

KEEP_ALIVE: Final = b": OPENROUTER PROCESSING\n\n"
_PIECES: Final = 12
_DONE: Final = "[DONE]"


def events(document: Mapping[str, Any], form: StreamForm) -> list[bytes]:
    """The events that a completion is streamed as. The last ones are usage and [DONE]."""
    base = {"id": document["id"], "object": "chat.completion.chunk", "provider": "Simulator"}
    base |= {"model": document["model"]}
    chunks = [base | chunk for chunk in _chunks(document)]
    usage = document.get("usage")
    if usage is not None:
        match form:
            case StreamForm.USAGE_WITH_CHOICE if chunks:
                chunks[-1]["usage"] = usage
            case StreamForm.USAGE_SO_FAR if chunks:
                for chunk in chunks[:-1]:
                    chunk["usage"] = usage | {"completion_tokens": 1, "total_tokens": 1}
                chunks[-1]["usage"] = usage
            case _:
                chunks.append(base | {"choices": [], "usage": usage})
    lines = [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]
    if form is not StreamForm.NO_DONE:
        lines.append(_DONE)
    return [KEEP_ALIVE, *(_event(line, form) for line in lines)]


def pieces(events: Sequence[bytes], form: StreamForm) -> Iterator[bytes]:
    """What is sent at once."""
    for event in events:
        if form is StreamForm.BYTES:
            yield from (event[position : position + 1] for position in range(len(event)))
        else:
            yield event


def _chunks(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "error" in document:
        yield {"choices": [_choice({"role": "assistant", "content": ""})]}
        yield {"error": document["error"], "choices": [_choice({"content": ""}, "error")]}
        return
    for choice in document["choices"]:
        message = choice["message"]
        yield {"choices": [_choice({"role": "assistant", "content": ""})]}
        for name in ("reasoning", "reasoning_content", "content"):
            for part in _parts(message.get(name)):
                yield {"choices": [_choice({name: part})]}
        last = _choice({"content": ""}, choice["finish_reason"])
        if "error" in choice:
            last["error"] = choice["error"]
        yield {"choices": [last]}


def _parts(content: object) -> Iterator[object]:
    if isinstance(content, str):
        size = -(-len(content) // _PIECES) or 1
        yield from (content[position : position + size] for position in range(0, len(content), size))
    elif isinstance(content, list):
        yield from ([part] for part in content)


def _choice(delta: Mapping[str, object], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, "native_finish_reason": finish_reason}


def _event(line: str, form: StreamForm) -> bytes:
    match form:
        case StreamForm.CRLF:
            return f"data: {line}\r\n\r\n".encode()
        case StreamForm.CR:
            return f"data: {line}\r\r".encode()
        case StreamForm.ONE_LINE_END:
            return f"data: {line}\n".encode()
        case StreamForm.NO_SPACE:
            return f"event: message\ndata:{line}\n\n".encode()
        case _:
            return f"data: {line}\n\n".encode()
