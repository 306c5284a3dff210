"""The guard around every call: correlation id, deadline, decoding, clean errors, and the end at shutdown."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, NoReturn, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from service_chassis.deadline import set_deadline
from service_chassis.logs import correlation_id_of_call, name_call
from service_chassis.refusal import Refusal, invalid_field
from service_chassis.rpc.admission import Admission
from service_chassis.rpc.bounds import LONG, Bounds
from service_chassis.rpc.decoding import Decoder
from service_chassis.rpc.errors import CODES, DETAILS_KEY, encoded_status

CORRELATION_KEY = "x-correlation-id"
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

_log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # the type stubs only have the synchronous handlers


class CallGuard:
    """Wraps every handler when it is registered, so that no exception reaches the caller as it is.

    - A Refusal becomes its status with details, NotImplementedError NOT_BUILT_YET. Any other exception
      becomes INTERNAL with a correlation id; the log has its type and place under this id.
    - A call with less than `minimum_deadline_seconds` left is refused before anything is done.
    - A call beyond `calls_max` is OVERLOADED. So is a call with whose message all calls together would exceed
      `message_bytes_max`. Health checks are neither counted nor refused.
    - The guard receives and decodes requests, checks their bounds and encodes answers. If grpcio did this, it
      would send the text of an exception to the caller, and it would receive the message of a unary call
      before it calls the handler. So all requests are registered as streams: their handlers read themselves.

    The guard is not an interceptor, because grpcio would then build handlers and coroutines for each call.
    Interceptors, such as those of telemetry, run outside of it.
    """

    def __init__(
        self, *, error_domain: str, minimum_deadline_seconds: float, calls_max: int, message_bytes_max: int
    ) -> None:
        self._error_domain = error_domain
        self._minimum_deadline_seconds = minimum_deadline_seconds
        self._admission = Admission(calls_max=calls_max, bytes_max=message_bytes_max, give_up=self._give_up)
        # Long requests are decoded in a thread, one at a time: in the event loop all other calls would wait.
        self._decoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")
        self._calls: dict[asyncio.Task[Any], _Call] = {}
        self._is_draining = False
        self._refused_count = 0
        self._refusing = asyncio.Event()
        self._refusing.set()

    def around(self, method: str, handler: Handler, bounds: Bounds) -> Handler:
        """The handler of a method, `/package.Service/Method`, with the guard around it.

        KeyError if a repeated field of its request has no bound.
        """
        is_infrastructure = method.startswith("/grpc.")
        is_stream = handler.response_streaming
        respond = _stream if is_stream else _answer
        decoder = None if handler.request_streaming else Decoder(handler.request_deserializer, bounds)
        admission = None if method.startswith("/grpc.health.") else self._admission

        async def behavior(requests: Any, context: Context) -> Any:
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            call = self._calls[task] = _Call(
                method, context, is_stream=is_stream, is_infrastructure=is_infrastructure
            )
            try:
                self._begin(call, context)
                if self._is_draining and not is_infrastructure:
                    self._refused_count += 1
                    await self._refusing.wait()
                    raise _shutting_down()
                if admission is not None:
                    admission.enter()
                    call.is_counted = True
                if decoder is not None:
                    requests = await self._request(decoder, context, call, task)
                return await respond(handler, requests, context)
            except (grpc.aio.AbortError, grpc.aio.InternalError):
                raise  # the status is on its way, or the connection is gone
            except asyncio.CancelledError:
                if call.cut is not None:
                    task.uncancel()
                    refusal = call.cut
                elif task.cancelling():
                    raise  # the caller has gone or its deadline has passed: no status is needed
                else:
                    # A task that the handler waited for was cancelled. Without a status the caller would wait
                    # until its deadline.
                    refusal = internal_error()
                await self._abort(context, call, refusal)
            except Exception as error:
                await self._abort(context, call, _refusal_for(error))
            finally:
                del self._calls[task]
                if call.is_counted:
                    self._admission.leave(call.message_bytes)

        make = grpc.stream_stream_rpc_method_handler if is_stream else grpc.stream_unary_rpc_method_handler
        return make(
            behavior,
            handler.request_deserializer if handler.request_streaming else None,
            handler.response_serializer if is_stream else None,
        )

    def drain(self) -> None:
        """From now on new calls are refused with SHUTTING_DOWN; gRPC's own services still answer."""
        self._is_draining = True

    def close(self) -> None:
        """Must be called after the last call."""
        self._decoding.shutdown(wait=False)

    def hold_refusals(self) -> None:
        """From now on a refused call gets its SHUTTING_DOWN only after `release_refusals`."""
        self._refusing.clear()

    def release_refusals(self) -> None:
        self._refusing.set()

    @property
    def refused_count(self) -> int:
        """How many calls have arrived since `drain`."""
        return self._refused_count

    def running(
        self, *, streams: bool | None = None, infrastructure: bool | None = None
    ) -> set[asyncio.Task[Any]]:
        """The running calls. A filter that is not None selects streams or others, gRPC's services or ours."""
        return {
            task
            for task, call in self._calls.items()
            if streams in (None, call.is_stream) and infrastructure in (None, call.is_infrastructure)
        }

    def cut(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Ends the calls with SHUTTING_DOWN."""
        for task in tasks:
            self._give_up(task, _shutting_down())

    def _give_up(self, task: asyncio.Task[Any], refusal: Refusal) -> None:
        call = self._calls.get(task)
        if call is not None and call.cut is None:
            call.cut = refusal
            task.cancel()

    def _begin(self, call: _Call, context: Context) -> None:
        name_call(correlation_id=call.correlation_id, method=call.method)
        if call.is_correlated:
            context.set_trailing_metadata(((CORRELATION_KEY, call.correlation_id),))
        seconds_left = context.time_remaining()
        set_deadline(seconds_left)
        if seconds_left is not None and seconds_left < self._minimum_deadline_seconds:
            raise Refusal("DEADLINE_TOO_SHORT", "too little time is left to do anything")

    async def _request(self, decoder: Decoder, context: Context, call: _Call, task: asyncio.Task[Any]) -> Any:
        raw = await (self._admission.receive(context, task) if call.is_counted else context.read())
        if raw is grpc.aio.EOF:
            raise invalid_field("request", "no message was sent")
        if call.is_counted:
            self._admission.hold(len(raw))
            call.message_bytes = len(raw)
        if len(raw) <= LONG:
            return decoder.decode(raw)
        return await asyncio.get_running_loop().run_in_executor(self._decoding, decoder.decode, raw)

    async def _abort(self, context: Context, call: _Call, refusal: Refusal) -> NoReturn:
        if refusal.reason not in CODES:
            refusal = internal_error(KeyError(refusal.reason))
        message, status = encoded_status(refusal, domain=self._error_domain)
        await context.abort(
            CODES[refusal.reason],
            message,
            ((CORRELATION_KEY, call.correlation_id), (DETAILS_KEY, status)),
        )


class GuardedHandlers(grpc.GenericRpcHandler):
    """Services register their handlers here instead of at the server, which gets the guarded handlers.

    For a method that is not registered the transport answers UNIMPLEMENTED.
    """

    def __init__(self, guard: CallGuard) -> None:
        self._guard = guard
        self._handlers: list[grpc.GenericRpcHandler] = []
        self.bounds: dict[str, Bounds] = {}  # by the service's full name
        self.guarded: dict[str, Handler] = {}  # by method, `/package.Service/Method`

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service_name: str, handlers: Mapping[str, Handler]) -> None:
        """Guards the methods. Does not register them: generated code also adds them as generic handlers.

        grpcio has a future for each registered method, and waits for all of them again at every call.
        KeyError if a repeated field of a request has no bound.
        """
        for name, handler in handlers.items():
            self._guard_method(f"/{service_name}/{name}", handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        method = handler_call_details.method
        if method not in self.guarded:
            found = (each.service(handler_call_details) for each in self._handlers)
            handler = next(filter(None, found), None)
            if handler is None:
                return None
            self._guard_method(method, handler)
        return self.guarded[method]

    def _guard_method(self, method: str, handler: Handler) -> None:
        bounds = self.bounds.get(method.split("/")[1], Bounds())
        self.guarded[method] = self._guard.around(method, handler, bounds)


async def _answer(handler: Handler, request: Any, context: Context) -> bytes:
    respond = handler.stream_unary if handler.request_streaming else handler.unary_unary
    encoded: bytes = handler.response_serializer(await respond(request, context))
    return encoded


async def _stream(handler: Handler, request: Any, context: Context) -> None:
    respond = handler.stream_stream if handler.request_streaming else handler.unary_stream
    answers = respond(request, context)
    if inspect.isawaitable(answers):  # it writes to the context itself, as grpcio's health service does
        await answers
        return
    # Messages are written here, not yielded, so that a cancelled call closes the generator in its own task.
    async with aclosing(answers):
        async for answer in answers:
            await context.write(answer)


class _Call:
    """A running call."""

    __slots__ = (
        "correlation_id",
        "cut",
        "is_correlated",
        "is_counted",
        "is_infrastructure",
        "is_stream",
        "message_bytes",
        "method",
    )

    def __init__(self, method: str, context: Context, *, is_stream: bool, is_infrastructure: bool) -> None:
        self.method = method
        self.is_stream = is_stream
        self.is_infrastructure = is_infrastructure
        self.is_counted = False
        self.message_bytes = 0
        self.cut: Refusal | None = None  # the reason if it was ended before its handler was done
        sent = _sent_correlation_id(context)
        # A successful answer has the id only if the caller sent one: trailing metadata costs both sides.
        self.is_correlated = sent is not None
        # An id that is not safe in a log line and a header is replaced.
        self.correlation_id = sent if sent and _CORRELATION_ID.fullmatch(sent) else os.urandom(16).hex()


def _sent_correlation_id(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == CORRELATION_KEY and isinstance(value, str):
            return value
    return None


def _refusal_for(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, NotImplementedError):
        return Refusal("NOT_BUILT_YET", "this method is not built yet")
    if isinstance(error, DecodeError):  # a message in the middle of a stream
        return invalid_field("request", "the bytes are not a message of the request's type")
    return internal_error(error)


def _shutting_down() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the service is stopping", retry_after_seconds=1)


def internal_error(error: Exception | None = None) -> Refusal:
    """The refusal for a bug of ours in the present call. Logs the error under the correlation id."""
    _log.error("internal_error", exc_info=error)
    correlation_id = correlation_id_of_call()
    return Refusal(
        "INTERNAL_ERROR",
        f"internal error; correlation id {correlation_id}",
        metadata={"correlation_id": correlation_id},
    )
