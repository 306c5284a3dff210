"""Structured logs on stderr. A line never carries a key, a prompt, SQL or a stack trace."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import Context, ContextVar
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import structlog

from service_chassis.settings import LogSettings

_SECRET_NAME = re.compile(r"(api_?key|authorization_header|password|secret|^token$|bearer)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"sk-[A-Za-z0-9_-]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?i:bearer )\S+")

_call: ContextVar[Mapping[str, str]] = ContextVar("call", default=MappingProxyType({}))


def name_call(*, correlation_id: str, method: str) -> None:
    """From now on, every log line of this context names this call."""
    _call.set({"correlation_id": correlation_id, "method": method})


def correlation_id_of_call() -> str:
    """The id of the call that this context belongs to; empty outside calls."""
    return _call.get().get("correlation_id", "")


def set_up_logs(settings: LogSettings, *, service: str) -> None:
    """Our own lines and those of libraries are written in one format, each with the service's name."""
    shared: list[structlog.typing.Processor] = [
        lambda _logger, _method, event: {"service": service, **_call.get(), **event},
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_by_name,
        _without_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level]
        ),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for chatty in ("httpx", "httpcore", "asyncio", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class RepeatedLines:
    """Logs the first warning of a kind, then counts. Warnings with the same event and fields are one kind.

    The count is logged after each `interval_seconds` with repetitions. Needs a running event loop.
    """

    def __init__(self, log: Any, *, interval_seconds: float = 10.0) -> None:
        self._log = log
        self._interval_seconds = interval_seconds
        self._repetitions: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}

    def warning(self, event: str, *, example: Mapping[str, str] | None = None, **fields: str) -> None:
        """`example` is logged with the first warning only, and does not distinguish kinds."""
        kind = event, tuple(sorted(fields.items()))
        if kind in self._repetitions:
            self._repetitions[kind] += 1
            return
        self._repetitions[kind] = 0
        self._log.warning(event, **fields, **(example or {}))
        self._count_later(kind)

    def _count_later(self, kind: tuple[str, tuple[tuple[str, str], ...]]) -> None:
        # In an empty context, since the count does not belong to the present call alone.
        asyncio.get_running_loop().call_later(self._interval_seconds, self._count, kind, context=Context())

    def _count(self, kind: tuple[str, tuple[tuple[str, str], ...]]) -> None:
        repetitions = self._repetitions.pop(kind)
        if repetitions:
            event, fields = kind
            self._log.warning(
                event, **dict(fields), repeated=repetitions, within_seconds=self._interval_seconds
            )
            self._repetitions[kind] = 0
            self._count_later(kind)


def where(error: BaseException) -> str:
    """The innermost line of the error's traceback, e.g. `store/holds.py:41`; not a stack trace."""
    return _where(error.__traceback__)


def _where(traceback: TracebackType | None) -> str:
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    path = Path(traceback.tb_frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{traceback.tb_lineno}"


def _exception_by_name(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replaces an exception by its type and place: its text may quote SQL or a prompt."""
    exc_info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = exc_info if isinstance(exc_info, BaseException) else None
    if isinstance(exc_info, tuple):
        error = exc_info[1]
    elif exc_info is True:
        error = sys.exc_info()[1]
    if error is not None:
        event["error_type"] = f"{type(error).__module__}.{type(error).__qualname__}"
        event["at"] = where(error)
    return event


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = _SECRET_VALUE.sub("***", value)
    return event
