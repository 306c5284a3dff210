"""Differences that the comparison of shown and real output accepts, and those that it reports."""

from __future__ import annotations

import pytest

from tests.docs.matching import Names, compare

_A = "5b63d708-93f2-4155-bf24-23487d48022b"
_B = "0b8d2f6e-8f0a-4a53-9a7e-54d1c8a3e6f1"
_C = "2f0e5d8c-4b1a-4f6d-8a3b-7c9e0d1f2a3b"


@pytest.mark.parametrize(
    ("shown", "came", "equal"),
    [
        ("a\nb", "a\nb", True),
        ("a\nb", "a\nc", False),
        ("a", "a\nb", False),
        ("a\nb", "a", False),
        ("", "a", False),
        ("a  ", "a", True),
        (" a", "a", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", False),
        ("a\n…", "a\nb\nc", True),
        ("a\n…", "a", False),
        ("…\nb\n…\nc", "a\nb\nb\nc", True),
        ("a …c", "a bc", True),
        ("a …c", "a bd", False),
        ("cost 1.5", "cost 125", False),
        (f"{_A} {_B}", f"{_B} {_C}", True),
        (f"{_A} {_A}", f"{_B} {_C}", False),
        (f"{_A} {_B}", f"{_C} {_C}", False),
        (f"{_A}", "no id", False),
        ("at 127.0.0.1:50051", "at 127.0.0.1:34567", True),
        ("at 127.0.0.1:50051\nat localhost:50051", "at 127.0.0.1:34567\nat localhost:34568", False),
        ("at 10.0.0.1:50051", "at 10.0.0.1:34567", False),
        ("2026-11-01T00:00:00Z", "2027-01-31T10:11:12.345Z", True),
        ("2026-11-01T00:00:00Z", "2027-01-31", False),
    ],
)
def test_lines_are_equal_but_for_what_must_vary(shown: str, came: str, equal: bool) -> None:
    assert (compare(shown.splitlines(), came.splitlines(), Names()) is None) is equal


def test_a_name_stands_for_the_same_thing_in_the_whole_document() -> None:
    names = Names()
    assert compare([f"id {_A} at localhost:50051"], [f"id {_B} at localhost:34567"], names) is None
    assert names.typed("call localhost:50051") == "call localhost:34567"
    assert compare([_A], [_C], names) is not None
    assert compare([_A], [_B], names) is None


def test_an_id_that_is_typed_stands_for_itself() -> None:
    names = Names()
    assert names.typed(f"ID={_A}") == f"ID={_A}"
    assert compare([_A], [_B], names) is not None
    assert compare([_A], [_A], names) is None


def test_a_port_that_was_not_shown_cannot_be_typed() -> None:
    with pytest.raises(LookupError):
        Names().typed("call localhost:50051")
