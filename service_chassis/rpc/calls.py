"""What happens around every call: correlation id, deadline, decoding, clean errors, the end when we stop."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from service_chassis.deadline import set_deadline
from service_chassis.logs import name_call
from service_chassis.refusal import Refusal, invalid_field
from service_chassis.rpc.decoding import decode
from service_chassis.rpc.errors import CODES, DETAILS_KEY, to_rpc_status

CORRELATION_KEY = "x-correlation-id"
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

_MAKE_HANDLER = {  # by request_streaming, response_streaming
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

_log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # the stubs know the synchronous handlers alone


class CallGuard:
    """Around every handler, from its registration on: nothing that a handler raises gets out as it is.

    - A Refusal becomes its status with details; NotImplementedError NOT_BUILT_YET; anything else INTERNAL
      with a correlation id, under which the log has its type and place.
    - A call with less than `minimum_deadline_seconds` left is refused before anything is done.
    - Requests are decoded and answers encoded in here, since grpcio tells the caller the exception's text.

    It is no interceptor: grpcio would build handlers and coroutines anew for each call. Interceptors, such as
    telemetry's, stand outside of it.
    """

    def __init__(self, *, error_domain: str, minimum_deadline_seconds: float) -> None:
        self._error_domain = error_domain
        self._minimum_deadline_seconds = minimum_deadline_seconds
        self._calls: dict[asyncio.Task[Any], _Call] = {}
        self._is_draining = False

    def around(self, method: str, handler: Handler) -> Handler:
        """The handler of a method, `/package.Service/Method`, with the guard around it."""
        respond = _stream if handler.response_streaming else _answer

        async def behavior(request: Any, context: Context) -> Any:
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            call = self._calls[task] = _Call(method, context, is_stream=handler.response_streaming)
            try:
                self._admit(call, context)
                return await respond(handler, request, context)
            except (grpc.aio.AbortError, grpc.aio.InternalError):
                raise  # the status is on its way, or the connection is gone
            except asyncio.CancelledError:
                if call.is_cut:
                    task.uncancel()
                    refusal = _shutting_down()
                elif task.cancelling():
                    raise  # the caller has gone, or its deadline has passed: nobody waits for a status
                else:
                    # Something that the handler waited for was cancelled. Without a status the caller would
                    # wait until its deadline.
                    refusal = _internal_error(call)
                await self._abort(context, call, refusal)
            except Exception as error:
                await self._abort(context, call, _refusal_for(error, call))
            finally:
                del self._calls[task]

        return _MAKE_HANDLER[handler.request_streaming, handler.response_streaming](
            behavior,
            handler.request_deserializer if handler.request_streaming else None,
            handler.response_serializer if handler.response_streaming else None,
        )

    def drain(self) -> None:
        """From now on a new call is SHUTTING_DOWN; gRPC's own services go on."""
        self._is_draining = True

    def running(
        self, *, streams: bool | None = None, infrastructure: bool | None = None
    ) -> set[asyncio.Task[Any]]:
        """The calls that run now; only streams or only others, only gRPC's own services or only ours."""
        return {
            task
            for task, call in self._calls.items()
            if streams in (None, call.is_stream) and infrastructure in (None, call.is_infrastructure)
        }

    def cut(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Ends the calls with SHUTTING_DOWN."""
        for task in tasks:
            self._calls[task].is_cut = True
            task.cancel()

    def _admit(self, call: _Call, context: Context) -> None:
        name_call(correlation_id=call.correlation_id, method=call.method)
        if call.is_correlated:
            context.set_trailing_metadata(((CORRELATION_KEY, call.correlation_id),))
        if self._is_draining and not call.is_infrastructure:
            raise _shutting_down()
        seconds_left = context.time_remaining()
        set_deadline(seconds_left)
        if seconds_left is not None and seconds_left < self._minimum_deadline_seconds:
            raise Refusal("DEADLINE_TOO_SHORT", "too little time is left to do anything")

    async def _abort(self, context: Context, call: _Call, refusal: Refusal) -> NoReturn:
        if refusal.reason not in CODES:
            refusal = _internal_error(call, KeyError(refusal.reason))
        status = to_rpc_status(refusal, domain=self._error_domain)
        await context.abort(
            CODES[refusal.reason],
            status.message,
            ((CORRELATION_KEY, call.correlation_id), (DETAILS_KEY, status.SerializeToString())),
        )


class GuardedHandlers(grpc.GenericRpcHandler):
    """What services register at in place of the server, which is given this: each handler, guarded.

    A method that nobody registers stays the transport's own UNIMPLEMENTED.
    """

    def __init__(self, guard: CallGuard) -> None:
        self._guard = guard
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._guarded: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service_name: str, handlers: Mapping[str, Handler]) -> None:
        """Nothing, since generated code adds its methods as generic handlers, too.

        For registered ones grpcio has a future each, and waits anew on all of them for every call.
        """

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        method = handler_call_details.method
        if method not in self._guarded:
            found = (each.service(handler_call_details) for each in self._handlers)
            handler = next(filter(None, found), None)
            if handler is None:
                return None
            self._guarded[method] = self._guard.around(method, handler)
        return self._guarded[method]


async def _answer(handler: Handler, request: Any, context: Context) -> bytes:
    if handler.request_streaming:
        answer = await handler.stream_unary(request, context)
    else:
        answer = await handler.unary_unary(decode(handler.request_deserializer, request), context)
    encoded: bytes = handler.response_serializer(answer)
    return encoded


async def _stream(handler: Handler, request: Any, context: Context) -> None:
    if handler.request_streaming:
        answers = handler.stream_stream(request, context)
    else:
        answers = handler.unary_stream(decode(handler.request_deserializer, request), context)
    if inspect.isawaitable(answers):  # it writes through the context itself, as grpcio's health service does
        await answers
        return
    # Written here and not yielded: so a cancelled call closes the generator in its own task.
    async with aclosing(answers):
        async for answer in answers:
            await context.write(answer)


class _Call:
    """A call that runs."""

    __slots__ = ("correlation_id", "is_correlated", "is_cut", "is_stream", "method")

    def __init__(self, method: str, context: Context, *, is_stream: bool) -> None:
        self.method = method
        self.is_stream = is_stream
        self.is_cut = False
        sent = _sent_correlation_id(context)
        # Who sends an id gets it back, also with an answer; trailing metadata costs both sides.
        self.is_correlated = sent is not None
        # One that is unfit for a log line and a header is replaced.
        self.correlation_id = sent if sent and _CORRELATION_ID.fullmatch(sent) else os.urandom(16).hex()

    @property
    def is_infrastructure(self) -> bool:
        return self.method.startswith("/grpc.")


def _sent_correlation_id(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == CORRELATION_KEY and isinstance(value, str):
            return value
    return None


def _refusal_for(error: Exception, call: _Call) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, NotImplementedError):
        return Refusal("NOT_BUILT_YET", "this method is not built yet")
    if isinstance(error, DecodeError):  # a message in the middle of a stream
        return invalid_field("request", "the bytes are not a message of the request's type")
    return _internal_error(call, error)


def _shutting_down() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the service is stopping", retry_after_seconds=1)


def _internal_error(call: _Call, error: Exception | None = None) -> Refusal:
    _log.error("internal_error", exc_info=error)
    return Refusal(
        "INTERNAL_ERROR",
        f"internal error; correlation id {call.correlation_id}",
        metadata={"correlation_id": call.correlation_id},
    )
