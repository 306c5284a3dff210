"""Request fields: an accepted value comes back parsed, another is refused with the field's path."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.context.attribute_context_pb2 import AttributeContext
from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from infin8.workflow.v1.steps_pb2 import Step
from service_chassis.refusal import Refusal, invalid_field
from service_chassis.rpc.fields import VIOLATIONS_MAX, Fields

CANONICAL = "0f0e0d0c-0b0a-4908-8706-050403020100"


class Steps(StrEnum):
    ICP = "ICP"


def reason(parse: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(Refusal) as raised, Fields() as fields:
        parse(fields, "path.to.field", *arguments, **options)
    assert [violation.field for violation in raised.value.fields] == ["path.to.field"]
    return raised.value.reason


@pytest.mark.parametrize("text", [CANONICAL, CANONICAL.upper()])
def test_a_uuid_in_canonical_form(text: str) -> None:
    """Upper case is accepted and gives the same id."""
    assert Fields().required_uuid("id", text) == UUID(CANONICAL)


@given(st.uuids(), st.uuids())
def test_a_uuid_is_like_any_other(one: UUID, other: UUID) -> None:
    """A parsed id compares, sorts, hashes, prints and pickles like any other UUID."""
    parsed = Fields().required_uuid("id", str(one))
    assert isinstance(parsed, UUID)
    assert (parsed == one, one == parsed, hash(parsed)) == (True, True, hash(one))
    assert (parsed < other, other < parsed) == (one < other, other < one)
    assert (str(parsed), repr(parsed), parsed.int, parsed.bytes) == (str(one), repr(one), one.int, one.bytes)
    assert pickle.loads(pickle.dumps(parsed)) == one  # noqa: S301 - our own


@pytest.mark.parametrize(
    "text",
    [
        "{" + CANONICAL + "}",
        "urn:uuid:" + CANONICAL,
        CANONICAL.replace("-", ""),
        "0f0e0d0c0-b0a-4908-8706-050403020100",
        CANONICAL + "\n",
        CANONICAL[:-1],
        CANONICAL.replace("0f", "0g"),
        CANONICAL.replace("0", "\u0660"),
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_a_uuid_in_any_other_form_is_refused(text: str) -> None:
    """Braces, urn, misplaced or missing hyphens, foreign digits and nil are refused."""
    assert reason(Fields.required_uuid, text) == "INVALID_FIELD"
    assert reason(Fields.optional_uuid, text) == "INVALID_FIELD"


def test_a_missing_uuid() -> None:
    """The empty string is refused where an id is required; elsewhere it gives None."""
    assert reason(Fields.required_uuid, "") == "INVALID_FIELD"
    assert Fields().optional_uuid("id", "") is None


@pytest.mark.parametrize("value", ["a", "x" * 10, "Zürich 東京", "שלום", " a "])
def test_a_text_comes_back_as_sent(value: str) -> None:
    """Text in any script is accepted up to its length in characters."""
    assert Fields().text("name", value, max_length=10) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "x" * 11,
        "a\0b",
        "a\nb",
        "a\x7f",
        "a\x85",
        "\u202eabc",
        "\u2066a\u2069",
        "\u200fa",
        "\u061ca",
    ],
)
def test_an_unfit_text_is_refused(value: str) -> None:
    """Empty text, text that is too long, NUL, control and bidirectional characters are refused."""
    assert reason(Fields.text, value, max_length=10) == "INVALID_FIELD"


def test_a_text_of_several_lines() -> None:
    """Line feed and tab are accepted where lines are allowed; other control characters never are."""
    assert Fields().text("body", "a\n\tb", max_length=10, multiline=True) == "a\n\tb"
    assert Fields().text("body", "a\r\nb", max_length=10, multiline=True) == "a\r\nb"
    for control in "\0", "a\rb", "\r", "\x0b", "\x85", "\u202e":
        assert reason(Fields.text, control, max_length=10, multiline=True) == "INVALID_FIELD"
    assert Fields().text("note", "", max_length=10, required=False) == ""


@pytest.mark.parametrize(
    ("value", "outcome"), [(0, "INVALID_FIELD"), (1, 1), (9, 9), (10, "VALUE_TOO_LARGE")]
)
def test_an_integer_has_bounds(value: int, outcome: int | str) -> None:
    """A value below its bound is INVALID_FIELD; a value above it is VALUE_TOO_LARGE."""
    if isinstance(outcome, str):
        assert reason(Fields.integer, value, minimum=1, maximum=9) == outcome
    else:
        assert Fields().integer("tokens", value, minimum=1, maximum=9) == outcome


def request_at(seconds: int, nanos: int = 0) -> AttributeContext.Request:
    return AttributeContext.Request(time=Timestamp(seconds=seconds, nanos=nanos))


def test_a_timestamp() -> None:
    """A timestamp is in UTC and cut to microseconds; unset gives None."""
    assert Fields().timestamp("time", AttributeContext.Request(), "time") is None
    parsed = Fields().timestamp("time", request_at(1_700_000_000, 123_456_999), "time")
    assert parsed == datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)
    end = Fields().timestamp("time", request_at(253_402_300_799, 999_999_999), "time")
    assert end == datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (946_684_799, 0),
        (0, 0),
        (-1, 0),
        (253_402_300_800, 0),
        (2**62, 0),
        (1_700_000_000, -1),
        (1_700_000_000, 10**9),
    ],
)
def test_a_timestamp_out_of_range_is_refused(seconds: int, nanos: int) -> None:
    """Times before 2000 or after 9999, and nanos out of range, are refused."""
    assert reason(Fields.timestamp, request_at(seconds, nanos), "time") == "INVALID_FIELD"


DAY = {"minimum": timedelta(seconds=1), "maximum": timedelta(days=1)}


def retry(seconds: int, nanos: int = 0) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos))


def test_a_duration() -> None:
    """A duration is cut to microseconds; unset gives None."""
    assert Fields().duration("hold", RetryInfo(), "retry_delay", **DAY) is None
    parsed = Fields().duration("hold", retry(86_399, 999_999_999), "retry_delay", **DAY)
    assert parsed == timedelta(seconds=86_399, microseconds=999_999)


@pytest.mark.parametrize(
    ("seconds", "nanos", "outcome"),
    [
        (0, 0, "INVALID_FIELD"),
        (-5, 0, "INVALID_FIELD"),
        (5, -1, "INVALID_FIELD"),
        (5, 10**9, "INVALID_FIELD"),
        (2**62, 0, "INVALID_FIELD"),
        (86_400, 1000, "VALUE_TOO_LARGE"),
    ],
)
def test_a_duration_out_of_bounds_is_refused(seconds: int, nanos: int, outcome: str) -> None:
    """A duration that is too short or malformed is INVALID_FIELD; one that is too long is VALUE_TOO_LARGE."""
    assert reason(Fields.duration, retry(seconds, nanos), "retry_delay", **DAY) == outcome


def test_an_enum_by_name() -> None:
    """An enum value gives its name without the prefix; 0 and unknown numbers are refused."""
    assert Fields().enum("step", Step.STEP_ICP, Step, "STEP_", Steps) is Steps.ICP
    assert reason(Fields.enum, Step.STEP_UNSPECIFIED, Step, "STEP_", Steps) == "INVALID_FIELD"
    assert reason(Fields.enum, 99, Step, "STEP_", Steps) == "INVALID_FIELD"
    assert Fields().optional_enum("step", Step.STEP_UNSPECIFIED, Step, "STEP_", Steps) is None
    assert reason(Fields.optional_enum, 99, Step, "STEP_", Steps) == "INVALID_FIELD"


@pytest.mark.parametrize(
    "value", ["https://example.com", "http://example.com:8080/a?b=c#d", "https://münchen.example/"]
)
def test_a_url_comes_back_as_sent(value: str) -> None:
    """http and https URLs are accepted."""
    assert Fields().url("url", value, allow_private=False) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user@example.com",
        "https://user:password@example.com",
        "https://example.com:port",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com/\n",
        "https://[::1",
        "http://example.com\\@evil.example",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_plain_web_address_is_refused(value: str) -> None:
    """Another scheme, a missing host, credentials, spaces and excess length are refused."""
    assert reason(Fields.url, value) == "INVALID_FIELD"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "db.localhost",
        "LOCALHOST.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fe80::1]",
        "\uff11\uff12\uff17.0.0.1",
    ],
)
def test_a_private_address_where_it_is_not_allowed(host: str) -> None:
    """A private address is refused in every notation."""
    assert Fields().url("url", f"http://{host}/") == f"http://{host}/"
    assert reason(Fields.url, f"http://{host}/", allow_private=False) == "INVALID_FIELD"


def test_labels() -> None:
    """Labels come back as sent, also with an empty value."""
    assert Fields().labels("labels", {"team": "a", "note": ""}) == {"team": "a", "note": ""}


@pytest.mark.parametrize(
    "value",
    [
        {str(number): "" for number in range(17)},
        {"": "a"},
        {"k" * 65: "a"},
        {"a=b": "c"},
        {"a": "v" * 257},
        {"a": "\u202e"},
        {str(number): "é" * 120 for number in range(5)},
    ],
)
def test_labels_out_of_bounds_are_refused(value: dict[str, str]) -> None:
    """More than 16 labels, keys above 64 or with `=`, values above 256 or 1 KiB in all are refused."""
    assert reason(Fields.labels, value) == "INVALID_FIELD"


def refused(parse: Callable[[Fields], Any]) -> Refusal:
    with pytest.raises(Refusal) as raised, Fields() as fields:
        parse(fields)
    return raised.value


def named(refusal: Refusal) -> list[str]:
    return [violation.field for violation in refusal.fields]


def test_every_bad_field_is_named() -> None:
    """One refusal names all bad fields; VALUE_TOO_LARGE is its reason only where all are too large."""

    def parse(fields: Fields) -> None:
        fields.integer("epoch", 11, minimum=1, maximum=10)
        fields.required_uuid("organization_id", "")
        fields.text("name", "a\nb", max_length=10)
        assert fields.required_uuid("workflow_id", CANONICAL) == UUID(CANONICAL)
        assert (fields.is_bad("name"), fields.is_bad("workflow_id"), fields.all_good) == (True, False, False)

    refusal = refused(parse)
    assert (refusal.reason, named(refusal)) == ("INVALID_FIELD", ["organization_id", "name", "epoch"])
    for name in named(refusal):
        assert name in refusal.message

    refusal = refused(lambda fields: [fields.integer(name, 11, minimum=1, maximum=10) for name in "ab"])
    assert (refusal.reason, named(refusal)) == ("VALUE_TOO_LARGE", ["a", "b"])


def test_a_field_is_named_once() -> None:
    """A field with several faults is named once, with the first fault."""

    def parse(fields: Fields) -> None:
        fields.invalid("a", "is required")
        fields.too_large("a", "is 12")

    refusal = refused(parse)
    assert [(v.field, v.description) for v in refusal.fields] == [("a", "is required")]


def test_an_error_on_a_stand_in_value_is_hidden() -> None:
    """An exception that comes from the stand-in for a bad value is hidden behind that field's refusal."""
    refusal = refused(lambda fields: int(fields.text("name", "", max_length=10)))
    assert str(refusal) == "INVALID_FIELD: name: is required"


def test_a_refusal_in_the_block_is_reported_with_the_rest() -> None:
    """A refusal that is raised inside the block is reported with the other bad fields."""

    def parse(fields: Fields) -> None:
        fields.invalid("name", "is required")
        raise invalid_field("result", "is required")

    assert named(refused(parse)) == ["name", "result"]


def test_without_a_bad_field_nothing_is_hidden() -> None:
    """Without a bad field the value, or an error in the block, passes."""
    with Fields() as fields:
        name = fields.text("name", "a", max_length=10)
    assert name == "a"
    with pytest.raises(ZeroDivisionError), Fields():
        _ = 1 / 0


def test_bad_fields_without_end() -> None:
    """The list and the message have a bound, however many fields are bad."""

    def parse(fields: Fields) -> None:
        for place in range(10 * VIOLATIONS_MAX):
            fields.invalid(f"items[{place}]", "is bad")

    refusal = refused(parse)
    assert len(refusal.fields) == VIOLATIONS_MAX
    assert refusal.message.startswith("items[0]: is bad; also bad: items[1], items[2], ")
    assert len(refusal.message) == 500
