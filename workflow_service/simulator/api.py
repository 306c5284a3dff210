"""The simulator's HTTP API: the part of OpenRouter's that we use, and a control interface.

With any bearer key: POST /api/v1/chat/completions, GET /api/v1/generation?id=, GET /api/v1/models. For
control: POST /control/script {"behaviours": [...]}, POST /control/reset, GET /control/calls (the calls that
were received, without their prompts).
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from workflow_service.simulator.behaviours import Behaviour, BehaviourKind, Script, StreamForm
from workflow_service.simulator.content import answer
from workflow_service.simulator.documents import Call, completion, error_of, generation_record, reshape
from workflow_service.simulator.prices import ModelPrice, token_count
from workflow_service.simulator.streams import KEEP_ALIVE, events, pieces

_RECORDS_MAX: Final = 10_000
_DRIP_SECONDS: Final = 0.05
_REQUEST_BYTES_MAX: Final = 4 * 1024 * 1024
_IN_FLIGHT: Final = (
    "This request would exceed your available credits given your current in-flight requests. "
    "Retry after in-flight requests settle, or add credits."
)
_OUT_OF_CREDITS: Final = "Insufficient credits. Add more using https://openrouter.ai/settings/credits"


class _MaxPrice(BaseModel):
    """USD per million tokens, and USD per request."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    request: Decimal | None = None

    def admits(self, price: ModelPrice) -> bool:
        asked = (
            (self.prompt, price.input_nano_usd_per_mtok),
            (self.completion, price.output_nano_usd_per_mtok),
            (self.request, price.request_nano_usd),
        )
        return all(limit is None or nano_usd <= limit * 10**9 for limit, nano_usd in asked)


class _Provider(BaseModel):
    max_price: _MaxPrice = _MaxPrice()


class _Message(BaseModel):
    role: str
    content: str


class _ChatRequest(BaseModel):
    model: str
    messages: list[_Message] = Field(min_length=1)
    max_tokens: int = Field(default=4096, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    response_format: dict[str, Any] = {}
    provider: _Provider = _Provider()
    stream: bool = False

    @property
    def step(self) -> str | None:
        schema = self.response_format.get("json_schema")
        name = schema.get("name") if isinstance(schema, dict) else None
        return name if isinstance(name, str) else None

    @property
    def task(self) -> str:
        """The message with the data to work on. What follows it is about an answer."""
        users = (message.content for message in self.messages if message.role == "user")
        return next(users, self.messages[-1].content)

    @property
    def answer_schema(self) -> dict[str, Any] | None:
        """The JSON schema that the answer has to fit."""
        described = self.response_format.get("json_schema")
        schema = described.get("schema") if isinstance(described, dict) else None
        return schema if isinstance(schema, dict) else None

    @property
    def input_tokens(self) -> int:
        written = "".join(message.content for message in self.messages)
        return token_count(written + (json.dumps(self.response_format) if self.response_format else ""))


class _ScriptRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    behaviours: list[Behaviour]


class SimulatorApi:
    def __init__(self, prices: Mapping[str, ModelPrice]) -> None:
        self.script = Script()
        self.calls: list[Call] = []
        self.stopping = asyncio.Event()
        self._prices = prices
        self._records: dict[str, dict[str, Any]] = {}
        self._early: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route("/api/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/api/v1/generation", self._generation),
                Route("/api/v1/models", self._models),
                Route("/control/script", self._set_script, methods=["POST"]),
                Route("/control/reset", self._reset, methods=["POST"]),
                Route("/control/calls", self._list_calls),
            ]
        )

    def reset(self) -> None:
        """Forgets the script and the calls. The records of billed generations stay."""
        self.script.clear()
        self.calls.clear()

    async def _complete(self, request: Request) -> Response:
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        body = await request.body()
        if len(body) > _REQUEST_BYTES_MAX:
            return _error(413, "Request body too large")
        try:
            chat = _ChatRequest.model_validate_json(body)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, line["loc"])) for line in error.errors(include_input=False))
            return _error(400, f"Invalid input: {fields or 'body'}")
        behaviour = self.script.take(model=chat.model, step=chat.step)
        call = Call(
            model=chat.model,
            step=chat.step,
            max_tokens=chat.max_tokens,
            behaviour=behaviour.kind.value if behaviour is not None else None,
            status=200,
        )
        refusal = self._refusal(chat, behaviour)
        if refusal is not None:
            self._note(replace(call, status=refusal.status_code))
            return refusal
        return await self._answer(request, chat, behaviour, call)

    def _refusal(self, chat: _ChatRequest, behaviour: Behaviour | None) -> Response | None:
        """The refusal of a call before a model begins, which costs nothing."""
        if behaviour is not None and (refusal := _scripted_refusal(chat, behaviour)) is not None:
            return refusal
        price = self._prices.get(chat.model)
        if price is None:
            return _error(400, f"{chat.model} is not a valid model ID")
        if not chat.provider.max_price.admits(price):
            return _error(404, f"No endpoints found for {chat.model} at the requested max price.")
        return None

    async def _answer(
        self, request: Request, chat: _ChatRequest, behaviour: Behaviour | None, call: Call
    ) -> Response:
        kind = behaviour.kind if behaviour is not None else None
        text = answer(chat.step, chat.task, chat.answer_schema)
        if kind is BehaviourKind.UNPARSABLE:
            text = "Certainly! Here is what you asked for, as a table rather than as JSON."
        if kind is BehaviourKind.NOTHING:
            text = ""
        finish_reason = "length" if kind is BehaviourKind.OUTPUT_LIMIT else "stop"
        if token_count(text) > chat.max_tokens:
            text = text.encode()[: 4 * chat.max_tokens].decode(errors="ignore")
            finish_reason = "length"
        served_model = chat.model
        if behaviour is not None and kind is BehaviourKind.OTHER_MODEL:
            served_model = behaviour.served_model
        price = self._prices.get(served_model, self._prices[chat.model])
        call = replace(
            call,
            generation_id=f"gen-{uuid4().hex}",
            served_model=served_model,
            input_tokens=0 if kind is BehaviourKind.NOTHING else chat.input_tokens,
            output_tokens=chat.max_tokens if kind is BehaviourKind.OUTPUT_LIMIT else token_count(text),
        )
        billed = price.cost_nano_usd(input_tokens=call.input_tokens, output_tokens=call.output_tokens)
        if behaviour is not None and kind is BehaviourKind.COST:
            billed = int(behaviour.cost_usd * 10**9)
        if kind is BehaviourKind.NOTHING:
            billed = 0
        call = replace(call, billed_nano_usd=billed)
        document = completion(call, text, finish_reason)
        self._record(call, behaviour, is_streamed=chat.stream)
        return await self._deliver(request, chat, behaviour, call, document)

    async def _deliver(
        self,
        request: Request,
        chat: _ChatRequest,
        behaviour: Behaviour | None,
        call: Call,
        document: dict[str, Any],
    ) -> Response:
        """The answer, with the faults that can happen after a model has begun."""
        kind = behaviour.kind if behaviour is not None else None
        if kind is BehaviourKind.HANG or kind is BehaviourKind.CUT_BEFORE_ANSWER:
            self._note(replace(call, status=0))
            if kind is BehaviourKind.HANG:
                await self._until_gone(request)
            request.state.transport.abort()
            return Response()
        self._note(call)
        headers = {"X-Generation-Id": call.generation_id or ""}
        if kind is BehaviourKind.HTML:
            return HTMLResponse("<!doctype html><title>Just a moment...</title>", headers=headers)
        if behaviour is not None:
            reshape(document, behaviour)
        form = behaviour.form if behaviour is not None else StreamForm.USUAL
        if chat.stream and form is not StreamForm.PLAIN:
            parts, keep_alive = events(document, form), KEEP_ALIVE
            media_type = "text/plain" if form is StreamForm.UNTYPED else "text/event-stream"
        else:
            whole = json.dumps(document).encode()
            if behaviour is None:
                return Response(whole, 200, headers, "application/json")
            parts, keep_alive = [whole[: len(whole) // 2], whole[len(whole) // 2 :]], b" "
            media_type = "application/json"
            if kind is not BehaviourKind.TRUNCATED:
                headers |= {"Content-Length": str(len(whole))}
        body = self._body(request, behaviour, parts, keep_alive)
        if kind is BehaviourKind.SLOW:
            headers.pop("Content-Length", None)
        return StreamingResponse(body, 200, headers, media_type)

    async def _body(
        self, request: Request, behaviour: Behaviour | None, parts: list[bytes], keep_alive: bytes
    ) -> AsyncIterator[bytes]:
        kind = behaviour.kind if behaviour is not None else None
        form = behaviour.form if behaviour is not None else StreamForm.USUAL
        if behaviour is not None and kind is BehaviourKind.SLOW:
            loop = asyncio.get_running_loop()
            end = loop.time() + behaviour.seconds
            while loop.time() < end and not self.stopping.is_set():
                yield keep_alive
                await asyncio.sleep(_DRIP_SECONDS)
        match kind:
            case BehaviourKind.CUT | BehaviourKind.TRUNCATED | BehaviourKind.STALL:
                parts = parts[: len(parts) // 2]
            case BehaviourKind.CUT_BEFORE_USAGE:
                parts = parts[:-2]
            case _:
                pass
        for piece in pieces(parts, form):
            yield piece
        if kind is BehaviourKind.STALL:
            await self._until_gone(request)
        if kind in (BehaviourKind.CUT, BehaviourKind.CUT_BEFORE_USAGE, BehaviourKind.STALL):
            request.state.transport.close()

    async def _until_gone(self, request: Request) -> None:
        """Until the caller hangs up or the simulator stops."""
        waits = [asyncio.ensure_future(self.stopping.wait()), asyncio.ensure_future(request.receive())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        del self.calls[:-_RECORDS_MAX]

    def _record(self, call: Call, behaviour: Behaviour | None, *, is_streamed: bool) -> None:
        if behaviour is not None and not behaviour.has_record:
            return
        generation_id = call.generation_id or ""
        self._records[generation_id] = generation_record(call, behaviour, is_streamed=is_streamed)
        if behaviour is not None and behaviour.record_lookups:
            self._early[generation_id] = behaviour.record_lookups
        if len(self._records) > _RECORDS_MAX:
            del self._records[next(iter(self._records))]

    async def _generation(self, request: Request) -> Response:
        if (refusal := _unauthorized(request)) is not None:
            return refusal
        generation_id = request.query_params.get("id", "")
        record = self._records.get(generation_id)
        if record is not None and self._early[generation_id] > 0:
            self._early[generation_id] -= 1
            record = None
        if record is None:
            return _error(404, "Generation not found")
        return JSONResponse({"data": record})

    async def _models(self, _: Request) -> Response:
        models = [
            {
                "id": model,
                "name": model,
                "pricing": {
                    "prompt": f"{Decimal(price.input_nano_usd_per_mtok).scaleb(-15):f}",
                    "completion": f"{Decimal(price.output_nano_usd_per_mtok).scaleb(-15):f}",
                    "request": f"{Decimal(price.request_nano_usd).scaleb(-9):f}",
                },
            }
            for model, price in self._prices.items()
        ]
        return JSONResponse({"data": models})

    async def _set_script(self, request: Request) -> Response:
        try:
            script = _ScriptRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"errors": json.loads(error.json(include_url=False))}, 400)
        self.script.add(script.behaviours)
        return JSONResponse({"behaviours": len(self.script)})

    async def _reset(self, _: Request) -> Response:
        self.reset()
        return JSONResponse({"behaviours": 0})

    async def _list_calls(self, _: Request) -> Response:
        return JSONResponse({"calls": [asdict(call) for call in self.calls]})


def _scripted_refusal(chat: _ChatRequest, behaviour: Behaviour) -> Response | None:
    retry_after = {"Retry-After": behaviour.retry_after}
    match behaviour.kind:
        case BehaviourKind.RATE_LIMITED:
            return _error(429, "Rate limit exceeded", retry_after)
        case BehaviourKind.STATUS:
            return JSONResponse({"error": error_of(behaviour)}, behaviour.status)
        case BehaviourKind.UNKNOWN_MODEL:
            return _error(400, f"{chat.model} is not a valid model ID")
        case BehaviourKind.OUT_OF_CREDITS:
            return _error(402, _OUT_OF_CREDITS, metadata={"limit_source": "openrouter_credits"})
        case BehaviourKind.IN_FLIGHT_CREDITS:
            metadata = {"limit_source": "openrouter_in_flight_budget", "reason": "in_flight_budget_exhausted"}
            return _error(402, _IN_FLIGHT, retry_after, metadata)
        case BehaviourKind.MODERATED:
            flagged = chat.messages[-1].content[:100]
            reasons = {"reasons": ["violence"], "flagged_input": flagged, "provider_name": "Simulator"}
            return _error(403, f'Input was flagged: "{flagged}"', metadata=reasons)
        case _:
            return None


def _unauthorized(request: Request) -> Response | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return None
    return _error(401, "No auth credentials found")


def _error(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Response:
    error: dict[str, Any] = {"code": status, "message": message}
    if metadata is not None:
        error["metadata"] = metadata
    return JSONResponse({"error": error}, status, headers)
