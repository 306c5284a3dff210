"""Pages of lists, and the page tokens between them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from infin8.workflow.v1.workflow_service_pb2 import ListWorkflowsRequest
from service_chassis.refusal import Refusal
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import INT32, PAGE_BYTES_MAX, Paging, encode_page_token

SCOPE = "ListWorkflowsRequest a"
TOKEN_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)


def paging(kinds: Any, *, scope: object = "a", **request: Any) -> Paging[Any]:
    with Fields() as fields:
        return Paging(fields, ListWorkflowsRequest(**request), kinds, scope=[scope])


def refused(kinds: Any, **request: Any) -> Refusal:
    with pytest.raises(Refusal) as raised:
        paging(kinds, **request)
    return raised.value


@pytest.mark.parametrize(("value", "limit"), [(0, 51), (1, 2), (1000, 1001)])
def test_a_page_size(value: int, limit: int) -> None:
    """0 gives the default; the limit is one more than the page, to see whether another page follows."""
    assert paging((int,), page_size=value).limit == limit


def test_a_page_size_out_of_bounds() -> None:
    """A negative size is INVALID_FIELD; a size above 1,000 is VALUE_TOO_LARGE."""
    assert refused((int,), page_size=-1).reason == "INVALID_FIELD"
    assert refused((int,), page_size=1001).reason == "VALUE_TOO_LARGE"


def test_pages_hold_everything_once() -> None:
    """Pages hold every item once, and the last page has no token."""
    items = [(f"{number:02}", uuid4()) for number in range(10)]
    seen, token, pages = [], "", 0
    while True:
        asked = paging((str, UUID), page_size=4, page_token=token)
        found = [item for item in items if asked.after is None or item > asked.after][: asked.limit]
        page = asked.page(found, lambda item: Value(string_value=item[0]), lambda item: item)
        seen += [message.string_value for message in page.messages]
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert (seen, pages) == ([name for name, _ in items], 3)


def test_the_last_page_may_be_full() -> None:
    """A full last page has no token."""
    page = paging((int,), page_size=2).page([1, 2], lambda item: Value(number_value=item), lambda item: item)
    assert (len(page.messages), page.next_page_token) == (2, "")


def test_a_page_fits_into_a_message() -> None:
    """A page ends before 4 MiB and the token continues there; a single larger item is returned alone."""
    large = Value(string_value="x" * (PAGE_BYTES_MAX // 2))
    asked = paging((int,))
    page = asked.page([1, 2, 3], lambda _: large, lambda item: item)
    assert len(page.messages) == 1
    assert paging((int,), page_token=page.next_page_token).after == 1
    huge = Value(string_value="x" * PAGE_BYTES_MAX)
    assert len(asked.page([1], lambda _: huge, lambda item: item).messages) == 1


@given(
    TOKEN_TEXT,
    st.integers(-(2**62), 2**62),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
)
def test_a_position_comes_back(text: str, number: int, uuid: UUID, time: datetime, day: date) -> None:
    """A token of each kind of position gives exactly that position back."""
    for kinds, position in (
        ((str, int, UUID), (text, number, uuid)),
        ((datetime, UUID), (time, uuid)),
        ((date, int, UUID), (day, number, uuid)),
    ):
        assert paging(kinds, page_token=encode_page_token(SCOPE, position)).after == position
    assert paging((str,), page_token=encode_page_token(SCOPE, [text])).after == text


def test_a_token_of_another_list_is_refused() -> None:
    """A token of another method, organization or filter is refused."""
    token = encode_page_token(SCOPE, [1])
    assert paging((int,), page_token=token).after == 1
    with pytest.raises(Refusal, match="page_token"):
        paging((int,), scope="b", page_token=token)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.binary(min_size=1).map(bytes.hex))
def test_text_that_is_no_token_is_refused(token: str) -> None:
    """Any text that is not a token is refused with INVALID_FIELD."""
    assert refused((int,), page_token=token).reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("kinds", "position"),
    [
        ((int,), []),
        ((int,), [1, 2]),
        ((int,), ["x"]),
        ((int,), [True]),
        ((int,), [1.5]),
        ((int,), [None]),
        ((int,), [2**64]),
        ((INT32,), [2**31]),
        ((str,), [1]),
        ((str,), [["a"]]),
        ((str,), ["\0"]),
        ((str,), ["\ud800"]),
        ((UUID,), ["x"]),
        ((date,), ["2026-13-01"]),
        ((datetime,), [2**62]),
        ((datetime,), [1 - 10**17]),
    ],
)
def test_a_token_made_up_with_a_right_checksum(kinds: Any, position: Any) -> None:
    """A token with a valid checksum is refused if its values do not fit the list or the database."""
    assert refused(kinds, page_token=encode_page_token(SCOPE, position)).reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("token", "named"),
    [("nonsense", ["name", "page_token"]), (encode_page_token("another list", [1]), ["name"])],
)
def test_a_token_beside_another_bad_field(token: str, named: list[str]) -> None:
    """An unreadable token is named beside another bad field; a token of another list is not."""

    def parse(fields: Fields) -> None:
        fields.invalid("name", "is required")
        Paging(fields, ListWorkflowsRequest(page_token=token), (int,), scope=["a"])

    with pytest.raises(Refusal) as raised, Fields() as fields:
        parse(fields)
    assert [violation.field for violation in raised.value.fields] == named


def test_no_token() -> None:
    """Without a token the first page is returned."""
    assert paging((datetime, UUID)).after is None
