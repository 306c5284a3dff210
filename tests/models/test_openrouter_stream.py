"""A streamed answer is read like one that is not streamed, in every form that servers give it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.http_server import REQUEST, answer, calling, completion, failure, serving
from workflow_service.clients.openrouter import ChargeKind, TokenUsage
from workflow_service.clients.openrouter_stream import EventReader, StreamedAnswer
from workflow_service.domain.error_class import ErrorClass
from workflow_service.simulator.behaviours import Behaviour, BehaviourKind, StreamForm
from workflow_service.simulator.server import Simulator

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "cost": 0.012015}
DONE = "[DONE]"


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "id": "gen-1",
        "model": "perplexity/sonar",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def of_usage(**changes: Any) -> dict[str, Any]:
    return {"id": "gen-1", "model": "perplexity/sonar", "choices": [], "usage": USAGE | changes}


def stream(*chunks: Any, headers: Sequence[str] = ()) -> bytes:
    """An HTTP answer whose body ends with the connection."""
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    head = ["HTTP/1.1 200 X", "Content-Type: text/event-stream; charset=utf-8", *headers, "", ""]
    return "\r\n".join(head).encode() + "".join(f"data: {line}\n\n" for line in lines).encode()


GOOD = [chunk(""), chunk("Hel"), chunk("lo."), chunk(finish="stop"), of_usage(), DONE]
HELLO = TokenUsage(12, 3)


@pytest.mark.parametrize("form", StreamForm)
async def test_every_form_of_a_stream(form: StreamForm) -> None:
    """Text, tokens, cost, id and reason are those of the answer without streaming."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        request = replace(REQUEST, messages=({"role": "user", "content": "Zürich 日本語"},))
        simulator.misbehave(Behaviour(kind=BehaviourKind.STREAMED, form=StreamForm.PLAIN))
        plain = await client.complete(request)
        simulator.misbehave(Behaviour(kind=BehaviourKind.STREAMED, form=form))
        streamed = await client.complete(request)
        assert streamed == replace(plain, generation_id=streamed.generation_id)
        assert streamed.usage is not None
        assert streamed.generation_id == simulator.calls[1].generation_id


@given(
    texts=st.lists(st.text(min_size=1, max_size=8).filter(lambda text: "\r" not in text), max_size=5),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
def test_events_are_the_same_wherever_the_bytes_are_split(
    texts: list[str], line_end: str, cuts: list[int]
) -> None:
    """Also in the middle of a line end or of a character; comments and other fields are left out."""
    events = [text.replace("\n", " ").strip() or "x" for text in texts]
    lines = [
        f": hello{line_end}{line_end}id: 7{line_end}data: {event}{line_end}{line_end}" for event in events
    ]
    whole = "".join(lines).encode()
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    reader = EventReader()
    read = [data for start, end in itertools.pairwise(edges) for data in reader.feed(whole[start:end])]
    assert [data.decode() for data in [*read, *reader.end()]] == events


def test_an_event_of_many_bytes_is_not_read_again_and_again() -> None:
    """The work grows with the bytes, however small the pieces are."""
    reader = EventReader()
    for _ in range(1_000_000):
        assert reader.feed(b"x") == []
    assert reader.feed(b"\n\n") == []  # no field of an event has so long a name


def document_of(*chunks: Any) -> dict[str, Any]:
    answered = StreamedAnswer()
    for part in chunks:
        answered.add(part.encode() if isinstance(part, str) else json.dumps(part).encode())
    return answered.document


SO_FAR = {"prompt_tokens": 12, "completion_tokens": 1}

USAGES: dict[str, tuple[list[Any], dict[str, Any] | None]] = {
    "in a chunk of its own": ([chunk("a", "stop"), of_usage()], USAGE),
    "without choices at all": ([chunk("a", "stop"), {"usage": USAGE}], USAGE),
    "with the last choice": ([chunk("a"), chunk(None, "stop", usage=USAGE)], USAGE),
    "before an empty chunk": ([chunk("a", "stop", usage=USAGE), {"choices": []}], USAGE),
    "null until then": ([chunk("a", usage=None), chunk(None, "stop", usage=USAGE)], USAGE),
    "so far, then all": ([chunk("a", usage=SO_FAR), chunk(None, "stop", usage=USAGE)], USAGE),
    "so far only": ([chunk("a", usage=SO_FAR)], None),
    "so far, and then the end": ([chunk("a", usage=SO_FAR), DONE], SO_FAR),
    "a cost of 0": ([chunk("a", "stop"), of_usage(cost=0)], USAGE | {"cost": 0}),
    "all 0 after it": ([chunk("a", "stop", usage=USAGE), of_usage(prompt_tokens=0, cost=0)], USAGE),
    "tokens, then cost": ([chunk("a", "stop", usage=SO_FAR), {"usage": {"cost": 1}}], SO_FAR | {"cost": 1}),
    "none": ([chunk("a", "stop"), DONE], None),
}


@pytest.mark.parametrize("name", USAGES)
def test_where_the_usage_is(name: str) -> None:
    """Counts count once they are all; what is told later completes what was told before."""
    chunks, usage = USAGES[name]
    exact = None if usage is None else json.loads(json.dumps(usage), parse_float=Decimal)
    assert document_of(*chunks).get("usage") == exact


async def test_a_reason_that_is_repeated_and_one_of_an_error() -> None:
    """OpenRouter may send the last chunk twice; an error counts whenever it comes."""
    twice = [*GOOD[:3], chunk(finish="stop"), chunk("", finish="stop"), of_usage()]
    failed = [chunk("Hel"), chunk(finish="stop"), chunk(finish="error"), of_usage()]
    async with serving(stream(*twice), stream(*failed)) as server, calling(server.base_url) as client:
        assert (await client.complete(REQUEST)).text == "Hello."
        assert (await failure(client)).error_class is ErrorClass.PROVIDER_ERROR


async def test_parts_and_whole_messages() -> None:
    """Parts are joined, thoughts left out; a whole message beside the pieces is not added to them."""
    parts: list[Any] = [{"type": "thinking", "thinking": "?"}, {"type": "text", "text": "Hello."}]
    in_parts = {"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]}
    both = chunk("Hel")
    both["choices"][0]["message"] = {"content": "Hel"}
    last = chunk("lo.", "stop")
    last["choices"][0]["message"] = {"content": "Hello."}
    alone = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
    older = {"choices": [{"text": "Hello.", "finish_reason": "stop"}]}
    other = {"choices": [{"index": 1, "delta": {"content": "Not this."}}]}
    answers: list[list[Any]] = [[in_parts], [both, last], [alone], [older], [other, *GOOD]]
    async with (
        serving(*(stream(*chunks, DONE) for chunks in answers)) as server,
        calling(server.base_url) as client,
    ):
        for _ in answers:
            assert (await client.complete(REQUEST)).text == "Hello."


ERROR = {"code": "server_error", "message": "Provider disconnected unexpectedly"}

ERRORS: dict[str, tuple[list[Any], ErrorClass, ChargeKind]] = {
    "in a chunk": (
        [chunk("Hel"), chunk("", "error", error=ERROR), DONE],
        ErrorClass.PROVIDER_ERROR,
        ChargeKind.UNKNOWN,
    ),
    "with usage after it": (
        [chunk("Hel"), chunk("", "error", error=ERROR | {"code": 429}), of_usage(), DONE],
        ErrorClass.RATE_LIMITED,
        ChargeKind.USED,
    ),
    "with usage beside it": (
        [chunk("Hel"), chunk("", "error", error=ERROR | {"code": 504}, usage=USAGE)],
        ErrorClass.TIMEOUT,
        ChargeKind.USED,
    ),
    "in a choice": (
        [{"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 402}}]}, of_usage()],
        ErrorClass.INSUFFICIENT_CREDITS,
        ChargeKind.USED,
    ),
    "first of all": (
        [{"error": {"code": "model_not_found", "message": "no"}}],
        ErrorClass.UNKNOWN_MODEL,
        ChargeKind.UNKNOWN,
    ),
    "vLLM's": (
        [chunk("Hel"), {"object": "error", "message": "out of memory", "code": 500}],
        ErrorClass.PROVIDER_ERROR,
        ChargeKind.UNKNOWN,
    ),
    "a text": ([chunk("Hel"), {"error": "out of memory"}], ErrorClass.PROVIDER_ERROR, ChargeKind.UNKNOWN),
    "held back": ([chunk(finish="content_filter"), of_usage()], ErrorClass.FORBIDDEN, ChargeKind.USED),
    "an end too early": ([chunk("Hel")], ErrorClass.MALFORMED_RESPONSE, ChargeKind.UNKNOWN),
    "an end too early, with counts so far": (
        [chunk("Hel", usage=SO_FAR)],
        ErrorClass.MALFORMED_RESPONSE,
        ChargeKind.UNKNOWN,
    ),
    "a chunk of half an object": (
        [chunk("Hel"), '{"choices": [', chunk("lo.", "stop"), of_usage(), DONE],
        ErrorClass.MALFORMED_RESPONSE,
        ChargeKind.USED,
    ),
    "a chunk that is a list": (
        [chunk("Hel"), "[1]", DONE],
        ErrorClass.MALFORMED_RESPONSE,
        ChargeKind.UNKNOWN,
    ),
    "nothing but the end": ([DONE], ErrorClass.MALFORMED_RESPONSE, ChargeKind.UNKNOWN),
    "usage alone": ([of_usage(), DONE], ErrorClass.MALFORMED_RESPONSE, ChargeKind.USED),
    "all output is reasoning": (
        [{"choices": [{"delta": {"reasoning": "So"}, "finish_reason": "length"}]}, of_usage(), DONE],
        ErrorClass.OUTPUT_LIMIT_REACHED,
        ChargeKind.USED,
    ),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_a_stream_that_fails(name: str) -> None:
    """Its class is that of the same answer unstreamed, its charge is what came, and the id is kept."""
    chunks, error_class, charge = ERRORS[name]
    whole = stream(*chunks, headers=["X-Generation-Id: gen-1"])
    async with serving(whole) as server, calling(server.base_url) as client:
        failed = await failure(client)
    assert (failed.error_class, failed.charge.kind) == (error_class, charge)
    assert failed.charge.generation_id == "gen-1"
    assert (failed.charge.usage == HELLO) == (charge is ChargeKind.USED)


async def test_a_json_body_under_the_type_of_a_stream() -> None:
    """And a stream under the type of JSON: what it is counts."""
    as_stream = answer(200, completion(), {"Content-Type": "text/event-stream"})
    as_json = stream(*GOOD).replace(b"text/event-stream", b"application/json")
    async with serving(as_stream, as_json) as server, calling(server.base_url) as client:
        for _ in range(2):
            answered = await client.complete(REQUEST)
            assert (answered.text, answered.usage) == ("Hello.", HELLO)
            assert answered.provider_cost_nano_usd == 12_015_000


def sending(*chunks: Any, then: Any) -> Any:
    """A server that sends these chunks and then does `then`."""

    async def send(writer: asyncio.StreamWriter) -> None:
        # Without a length, the end of the connection would be the end of the answer.
        writer.write(stream(*chunks, headers=["X-Generation-Id: gen-1", "Content-Length: 1000000"]))
        await writer.drain()
        await then(writer)

    return send


async def hang(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def keep_alive(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b": OPENROUTER PROCESSING\n\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("then", [hang, keep_alive])
@pytest.mark.parametrize("said", [[], [chunk("Hel")]], ids=["nothing", "half"])
async def test_a_server_that_is_silent_is_noticed_early(said: list[Any], then: Any) -> None:
    """Long before the total deadline, also if it keeps the connection alive; the id is kept."""
    async with (
        serving(sending(*said, then=then)) as server,
        calling(server.base_url, first_data_seconds=0.2, silence_seconds=0.2, deadline_seconds=60) as client,
    ):
        failed = await failure(client)
    assert (failed.error_class, failed.charge.kind) == (ErrorClass.TIMEOUT, ChargeKind.UNKNOWN)
    assert failed.charge.generation_id == "gen-1"
    assert "silent" in failed.message


async def test_a_model_that_says_something_is_not_silent() -> None:
    """Chunks that come in time go on for longer than each silence that is allowed."""

    async def slowly(writer: asyncio.StreamWriter) -> None:
        for part in GOOD:
            await asyncio.sleep(0.1)
            writer.write(stream(part).partition(b"\r\n\r\n")[2])
            await writer.drain()

    async with (
        serving(sending(then=slowly)) as server,
        calling(server.base_url, first_data_seconds=0.5, silence_seconds=0.5) as client,
    ):
        assert (await client.complete(REQUEST)).text == "Hello."


@pytest.mark.parametrize("then", [hang, reset], ids=["hangs", "breaks"])
@pytest.mark.parametrize(
    ("sent", "usage"), [(GOOD[:4], None), (GOOD[:5], HELLO), (GOOD, HELLO)], ids=["text", "usage", "all"]
)
async def test_an_answer_whose_text_is_whole_is_one(
    sent: list[Any], usage: TokenUsage | None, then: Any
) -> None:
    """Whatever happens to the connection after it: it was paid for. The usage can be asked for by the id."""
    async with (
        serving(sending(*sent, then=then)) as server,
        calling(server.base_url, silence_seconds=0.2) as client,
    ):
        answered = await client.complete(REQUEST)
    assert (answered.text, answered.usage, answered.generation_id) == ("Hello.", usage, "gen-1")


async def test_a_stream_that_breaks_half_way() -> None:
    """CONNECTION_FAILED; usage that came is charged, or else the id is kept for the provider's record."""
    for sent, charge in ((GOOD[:2], ChargeKind.UNKNOWN), ([chunk("Hel"), of_usage()], ChargeKind.USED)):
        async with serving(sending(*sent, then=reset)) as server, calling(server.base_url) as client:
            failed = await failure(client)
        assert (failed.error_class, failed.charge.kind) == (ErrorClass.CONNECTION_FAILED, charge)
        assert failed.charge.generation_id == "gen-1"


@pytest.mark.parametrize("head", ["X-Generation-Id: gen-1", "X-Other: 1"])
async def test_the_id_is_told_before_the_answer_is_there(head: str) -> None:
    """As soon as a header or the first chunk names it, and once."""
    noted: list[str] = []
    is_noted = asyncio.Event()

    def note(generation_id: str) -> None:
        noted.append(generation_id)
        is_noted.set()

    async def wait_until_noted(writer: asyncio.StreamWriter) -> None:
        writer.write(stream(GOOD[0], headers=[head]))
        await writer.drain()
        await is_noted.wait()
        writer.write(stream(*GOOD[1:]).partition(b"\r\n\r\n")[2])
        await writer.drain()

    async with serving(wait_until_noted) as server, calling(server.base_url) as client:
        await client.complete(REQUEST, note_generation=note)
    assert noted == ["gen-1"]


async def test_connections_are_used_again() -> None:
    """The end of a stream is read, so that the next call needs no new connection."""
    async with Simulator() as simulator, calling(simulator.base_url) as client:
        opened: list[Any] = []

        async def note(event: str, info: Any) -> None:
            if event == "connection.connect_tcp.complete":
                opened.append(info)

        send = client._calls.send

        async def traced(request: Any, **options: Any) -> Any:
            before = request.extensions["trace"]

            async def both(event: str, info: Any) -> None:
                await before(event, info)
                await note(event, info)

            request.extensions["trace"] = both
            return await send(request, **options)

        client._calls.send = traced  # type: ignore[method-assign]
        for _ in range(5):
            await client.complete(REQUEST)
    assert len(opened) == 1
