"""A streamed answer, put together into the document that it would have been without streaming. Pure.

The stream is server-sent events (the HTML standard's event streams). Each event's data is a chunk of the
answer, and the last one is [DONE]. The facts are from OpenRouter's reference ("Streaming") and from what
other servers of the same API send:

- Comments (": OPENROUTER PROCESSING") keep the connection alive while the model has not begun.
- An error after the first token is a chunk with `error`, and finish_reason "error" in its choice.
- Usage comes in a chunk of its own without choices, or with the last choice; some servers send counts so far
  with each chunk.
- Some servers leave out [DONE].
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from workflow_service.clients.reported_json import json_of, object_of, text_of

# A carriage return at the end of what has arrived may be half of a line end.
_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DONE: Final = b"[DONE]"
_REASONING: Final = ("reasoning_content", "reasoning")


class EventReader:
    """Cuts bytes into the data of events, wherever the bytes are split."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._is_first_line = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that end in `chunk`, without comments and events that have none."""
        if not (b"\n" in chunk or b"\r" in chunk or (self._line and self._line[-1].endswith(b"\r"))):
            self._line.append(chunk)
            return []
        *lines, rest = _LINE_END.split(b"".join([*self._line, chunk]))
        self._line = [rest] if rest else []
        return [data for line in lines if (data := self._end_of(line)) is not None]

    def end(self) -> list[bytes]:
        """The data of an event that the stream ended in, without its last line end."""
        lines = (b"".join(self._line).removesuffix(b"\r"), b"")
        self._line = []
        return [data for line in lines if (data := self._end_of(line)) is not None]

    def _end_of(self, line: bytes) -> bytes | None:
        """The event's data, where `line` ends an event."""
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            return None
        data, self._data = b"\n".join(self._data), []
        return data or None


class StreamedAnswer:
    """The chunks of one answer, put together as they arrive."""

    def __init__(self) -> None:
        self.is_done = False
        """[DONE] has come."""
        self.is_malformed = False
        """A chunk was not a JSON object, so that a part of the answer is missing."""
        self._top: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._has_choices = False
        self._content: list[str] = []
        self._reasoning: dict[str, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._usage_is_final = False

    @property
    def generation_id(self) -> object:
        return self._top.get("id")

    @property
    def is_empty(self) -> bool:
        return not (self._top or self._has_choices or self._usage or self.is_done or self.is_malformed)

    @property
    def is_whole(self) -> bool:
        """Nothing of the answer's text is missing. Its usage may be."""
        return self._has_ended and not self.is_malformed

    @property
    def _has_ended(self) -> bool:
        return (
            self.is_done or "finish_reason" in self._choice or "error" in self._top or "error" in self._choice
        )

    def add(self, data: bytes) -> None:
        """Adds an event's data."""
        if data.strip() == _DONE:
            self.is_done = True
            return
        chunk = json_of(data)
        if chunk is None and b"\n" in data:
            # Some servers end events with one line end instead of two.
            for line in data.split(b"\n"):
                self.add(line)
            return
        if not isinstance(chunk, dict):
            self.is_malformed = True
            return
        self._add_chunk(chunk)

    @property
    def document(self) -> dict[str, Any]:
        """The answer so far, in the form of one that was not streamed.

        Usage is left out as long as it may not be all: some servers send the counts so far with each chunk.
        """
        document = dict(self._top)
        if self._has_choices:
            message: dict[str, Any] = {"role": "assistant", "content": "".join(self._content)}
            message |= {name: "".join(texts) for name, texts in self._reasoning.items()}
            document["choices"] = [self._choice | {"message": message}]
        if self._usage and (self._usage_is_final or self.is_done):
            document["usage"] = self._usage
        return document

    def _add_chunk(self, chunk: Mapping[str, Any]) -> None:
        for name in ("id", "model", "error"):
            if chunk.get(name):
                self._top.setdefault(name, chunk[name])
        if chunk.get("object") == "error":  # vLLM's
            self._top.setdefault("error", dict(chunk))
        choices = chunk.get("choices")
        choice = next(filter(_is_first_choice, choices), None) if isinstance(choices, list) else None
        if choice is not None:
            self._has_choices = True
            self._add_choice(choice)
        reported = object_of(chunk.get("usage"))
        if reported:
            # A count of 0 in a later chunk means that this chunk does not tell it.
            told = {
                name: value
                for name, value in reported.items()
                if value is not None and (value != 0 or name not in self._usage)
            }
            self._usage |= told
            self._usage_is_final = self._has_ended or choice is None

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        message = object_of(choice.get("delta")) or {}
        if not message and not self._content:
            message = object_of(choice.get("message")) or {}
        text = text_of(message.get("content")) or text_of(
            choice.get("text")
        )  # `text`: the older completions API
        if text:
            self._content.append(text)
        for name in _REASONING:
            if isinstance(thought := message.get(name), str):
                self._reasoning.setdefault(name, []).append(thought)
        if choice.get("error"):
            self._choice.setdefault("error", choice["error"])
        # OpenRouter may repeat the chunk with the reason. An error counts whenever it comes.
        reason = choice.get("finish_reason")
        if reason == "error" or (reason is not None and "finish_reason" not in self._choice):
            self._choice["finish_reason"] = reason


def is_event_stream(content_type: str, body: bytes) -> bool:
    """Whether a body is a stream of events. Some servers do not name its type."""
    if content_type.partition(";")[0].strip().lower() == "text/event-stream":
        return True
    return body.lstrip().startswith((b"data:", b": ", b"event:"))


def _is_first_choice(choice: object) -> bool:
    return isinstance(choice, dict) and choice.get("index", 0) in (0, None)
