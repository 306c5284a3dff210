"""Any text can be turned into free text that is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.rpc.fields import Fields
from service_chassis.text import REASON_LENGTH_MAX, as_free_text


@given(st.text(st.characters()))
def test_any_text_becomes_free_text(text: str) -> None:
    """Text with surrogates, control and bidirectional characters becomes accepted free text."""
    made = as_free_text(text)
    made.encode()
    with Fields() as fields:
        fields.text("reason", made, max_length=REASON_LENGTH_MAX, required=False, multiline=True)


def test_a_long_text_is_cut() -> None:
    """A long text is cut with a mark at its end."""
    assert as_free_text("x" * REASON_LENGTH_MAX) == "x" * REASON_LENGTH_MAX
    made = as_free_text("x" * (REASON_LENGTH_MAX + 1))
    assert (len(made), made[-2:]) == (REASON_LENGTH_MAX, "x…")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("line\r\n\tline", "line\r\n\tline"),
        ("50 %\r100 %", "50 %\ufffd100 %"),
        ("\x1b[31mred\0", "\ufffd[31mred\ufffd"),
        ("a\udcffb", "a\ufffdb"),
        ("\u202eabc", "\ufffdabc"),
    ],
)
def test_what_is_unfit_is_replaced(text: str, made: str) -> None:
    """Line breaks and tabs are kept; characters that are not accepted are replaced."""
    assert as_free_text(text) == made
