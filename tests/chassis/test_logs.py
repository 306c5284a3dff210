"""Log lines are structured, on stderr, and without keys, SQL, prompts and stack traces."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import grpc
import pytest
import structlog

from service_chassis.logs import RepeatedLines, name_call, set_up_logs
from service_chassis.settings import LogSettings
from tests.chassis.callers import asking, unary
from tests.chassis.conftest import NAME


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_an_object_with_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    """A line of ours or of a library has event, level, time, service, and the context bound to the call."""
    set_up_logs(LogSettings(), service="governor")
    name_call(correlation_id="abc", method="/tiny/Unary")
    structlog.get_logger().info("started", port=7)
    logging.getLogger("library").warning("odd %s", "thing")
    ours, theirs = lines(capsys)
    assert (ours["event"], ours["port"], theirs["event"]) == ("started", 7, "odd thing")
    for line in (ours, theirs):
        assert (line["service"], line["correlation_id"]) == ("governor", "abc")
        assert line["method"] == "/tiny/Unary"
        assert str(line["timestamp"]).endswith("Z")


async def test_a_line_names_the_call_it_was_written_in(
    channel: grpc.aio.Channel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line names the call's method, and the correlation id that the caller gets."""
    set_up_logs(LogSettings(), service="governor")
    # A new logger, since a logger keeps the configuration of its first line.
    monkeypatch.setattr("service_chassis.rpc.calls._log", structlog.get_logger())
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await unary(channel, asking("raise"))
    (line,) = lines(capsys)
    assert (line["event"], line["method"]) == ("internal_error", f"/{NAME}/Unary")
    assert line["correlation_id"] == dict(raised.value.trailing_metadata())["x-correlation-id"]


def test_an_exception_is_its_type_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A line has the exception's type and place only: its text and stack trace may contain private data."""
    set_up_logs(LogSettings(), service="governor")
    try:
        raise ValueError("INSERT INTO prompts VALUES ('who am I')")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed, too")
    for line in lines(capsys):
        assert line["error_type"] == "builtins.ValueError"
        assert str(line["at"]).startswith("chassis/test_logs.py:")
        assert "INSERT" not in json.dumps(line)
        assert "Traceback" not in json.dumps(line)


def test_keys_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """A key is removed by its field's name or by the form of its value."""
    set_up_logs(LogSettings(), service="governor")
    structlog.get_logger().info(
        "calling sk-or-v1-0123456789abcdef",
        api_key="plain",
        url="postgresql://governor:hunter2@127.0.0.1/governor",
        header="Bearer abc.def.ghi",
    )
    (line,) = lines(capsys)
    for secret in ("sk-or", "plain", "hunter2", "abc.def"):
        assert secret not in json.dumps(line)


def test_the_level_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """By default DEBUG lines are not written."""
    set_up_logs(LogSettings(), service="governor")
    structlog.get_logger().debug("chatter")
    logging.getLogger("httpx").info("HTTP Request: …")
    assert lines(capsys) == []


async def test_repeated_trouble_is_one_line_and_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind has one line, then one count; after a quiet time the next failure is a first one again."""
    set_up_logs(LogSettings(), service="governor")
    trouble = RepeatedLines(structlog.get_logger(), interval_seconds=0.02)
    name_call(correlation_id="abc", method="/tiny/Unary")
    for number in range(1_000):
        trouble.warning("database_trouble", sqlstate="53100", example={"organization_id": str(number)})
    trouble.warning("database_trouble", sqlstate="55P03")
    first, other = lines(capsys)
    assert (first["sqlstate"], first["organization_id"], first["correlation_id"]) == ("53100", "0", "abc")
    assert other["sqlstate"] == "55P03"
    await asyncio.sleep(0.2)
    (count,) = lines(capsys)
    assert (count["event"], count["sqlstate"], count["repeated"]) == ("database_trouble", "53100", 999)
    assert "correlation_id" not in count
    trouble.warning("database_trouble", sqlstate="53100")
    (again,) = lines(capsys)
    assert "repeated" not in again
