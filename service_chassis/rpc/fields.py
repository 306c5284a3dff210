"""Parses request fields, and reports all bad fields in one answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from asyncpg.pgproto import pgproto
from google.protobuf.message import Message

from service_chassis.addresses import address_in, is_private_host, plain_host
from service_chassis.refusal import FieldViolation, Refusal, bad_fields
from service_chassis.text import NOT_IN_A_LINE, NOT_IN_LINES, what_is_unfit

URL_LENGTH_MAX = 2048
LABELS_MAX = 16
LABEL_KEY_LENGTH_MAX = 64
LABEL_VALUE_LENGTH_MAX = 256
LABELS_BYTES_MAX = 1024
VIOLATIONS_MAX = 50
"""The most violations of one request: more would not fit into the details of a status."""

_TIME_MIN = datetime(2000, 1, 1, tzinfo=UTC)
_UNIX_SECONDS_MIN = int(_TIME_MIN.timestamp())
_UNIX_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the end of google.protobuf.Timestamp
_DURATION_SECONDS_MAX = 315_576_000_000  # the bound of google.protobuf.Duration, about 10,000 years

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
# Letters of other scripts are left to IDNA. `%` would be another spelling of ASCII.
_DIALLED_NAME = re.compile(r"[a-z0-9._\-\u0080-\U0010ffff]+")
_NIL_UUID = "00000000-0000-0000-0000-000000000000"
_NIL = UUID(_NIL_UUID)

E = TypeVar("E", bound=StrEnum)


class EnumNames(Protocol):
    """A generated protobuf enum."""

    def Name(self, number: Any) -> str: ...  # noqa: N802 - protobuf's name


class _Note(NamedTuple):
    description: str
    is_too_large: bool


class Fields:
    """Parses the fields of one request, and raises one Refusal for all bad fields.

        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            reason = fields.text("reason", request.reason, max_length=1024, multiline=True)

    A method returns the parsed value. For a bad field, it notes the problem and returns a stand-in of the
    same type, so that the other fields are still parsed. The end of the block then raises the Refusal, so no
    code after the block sees a stand-in. The Refusal names each bad field. Its reason is INVALID_FIELD, or
    VALUE_TOO_LARGE if the fields are only too large.
    """

    __slots__ = ("_noted",)

    def __init__(self) -> None:
        self._noted: dict[str, _Note] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._noted:
            return
        if isinstance(exc, Refusal):
            self.refused(exc)
        # Any other exception was caused by a stand-in.
        raise self._refusal() from None

    @property
    def all_good(self) -> bool:
        """Whether no problem has been noted so far, so that no value is a stand-in."""
        return not self._noted

    def is_bad(self, path: str) -> bool:
        """Whether a problem of this field has been noted."""
        return path in self._noted

    def invalid(self, path: str, description: str) -> None:
        """Notes that the field's value can never be accepted. Only the first note about a field counts."""
        self._note(path, _Note(description, is_too_large=False))

    def too_large(self, path: str, description: str) -> None:
        """Notes that the field's number is well formed but above its stated bound."""
        self._note(path, _Note(description, is_too_large=True))

    def _note(self, path: str, note: _Note) -> None:
        if len(self._noted) < VIOLATIONS_MAX:
            self._noted.setdefault(path, note)

    def _refusal(self) -> Refusal:
        invalid: list[FieldViolation] = []
        too_large: list[FieldViolation] = []
        for path, note in self._noted.items():
            (too_large if note.is_too_large else invalid).append(FieldViolation(path, note.description))
        return bad_fields(invalid, too_large)

    def refused(self, refusal: Refusal) -> None:
        """Notes the bad fields that a Refusal names."""
        note = self.too_large if refusal.reason == "VALUE_TOO_LARGE" else self.invalid
        for violation in refusal.fields:
            note(violation.field, violation.description)

    def required_uuid(self, path: str, value: str) -> UUID:
        """In canonical form, in lower or upper case. The nil UUID is refused."""
        if not value:
            self.invalid(path, "is required")
        # uuid.UUID() would also accept braces, `urn:` and hyphens anywhere.
        elif not _UUID.fullmatch(value):
            self.invalid(path, "is not a UUID in canonical form")
        elif value == _NIL_UUID:
            self.invalid(path, "is the nil UUID")
        else:
            return pgproto.UUID(value)  # asyncpg's subclass of uuid.UUID, faster because it is in C
        return _NIL

    def optional_uuid(self, path: str, value: str) -> UUID | None:
        """As `required_uuid`; None for the empty string."""
        return self.required_uuid(path, value) if value else None

    def text(
        self, path: str, value: str, *, max_length: int, required: bool = True, multiline: bool = False
    ) -> str:
        """A text of at most `max_length` characters, as sent.

        Refused: control characters (except line breaks and tabs in a multiline text), bidirectional controls,
        and only white space in a required text.
        """
        if required and not value.strip():
            self.invalid(path, "is required")
        elif len(value) > max_length:
            self.invalid(path, f"is longer than {max_length} characters")
        elif found := (NOT_IN_LINES if multiline else NOT_IN_A_LINE).search(value):
            self.invalid(path, what_is_unfit(found))
        else:
            return value
        return ""

    def integer(self, path: str, value: int, *, minimum: int, maximum: int) -> int:
        """A value below `minimum` is invalid, one above `maximum` is too large.

        The stand-in is the nearer bound, so that comparisons of two integers with the same bounds stay right.
        """
        if value < minimum:
            self.invalid(path, f"is {value}; at least {minimum} is needed")
            return minimum
        if value > maximum:
            self.too_large(path, f"is {value}; at most {maximum} is accepted")
            return maximum
        return value

    def timestamp(self, path: str, message: Message, field: str) -> datetime | None:
        """An aware datetime in UTC, cut to microseconds as in PostgreSQL; None if the field is unset."""
        if not message.HasField(field):
            return None
        sent = getattr(message, field)
        if not 0 <= sent.nanos < 1_000_000_000:
            self.invalid(path, "has nanos outside 0 … 999,999,999")
        elif sent.seconds < _UNIX_SECONDS_MIN:
            self.invalid(path, "is before the year 2000")
        elif sent.seconds > _UNIX_SECONDS_MAX:
            self.invalid(path, "is after the year 9999")
        else:
            return _TIME_MIN + timedelta(
                seconds=sent.seconds - _UNIX_SECONDS_MIN, microseconds=sent.nanos // 1000
            )
        return _TIME_MIN

    def required_timestamp(self, path: str, message: Message, field: str) -> datetime:
        """As `timestamp`; refused if the field is unset."""
        time = self.timestamp(path, message, field)
        if time is None:
            self.invalid(path, "is required")
            return _TIME_MIN
        return time

    def duration(
        self, path: str, message: Message, field: str, *, minimum: timedelta, maximum: timedelta
    ) -> timedelta | None:
        """Cut to microseconds; None if the field is unset."""
        if not message.HasField(field):
            return None
        sent = getattr(message, field)
        if (
            abs(sent.seconds) > _DURATION_SECONDS_MAX
            or abs(sent.nanos) >= 1_000_000_000
            or sent.seconds * sent.nanos < 0
        ):
            self.invalid(path, "is not a valid google.protobuf.Duration")
            return minimum
        parsed = timedelta(seconds=sent.seconds, microseconds=int(sent.nanos / 1000))
        if parsed < minimum:
            self.invalid(path, f"is shorter than {minimum.total_seconds():g} s")
            return minimum
        if parsed > maximum:
            self.too_large(path, f"is longer than {maximum.total_seconds():g} s")
            return maximum
        return parsed

    def enum(self, path: str, value: int, names: EnumNames, prefix: str, member_of: type[E]) -> E:
        """The member with the value's name without `prefix`, e.g. `ICP` of `STEP_ICP`. 0 and unknown numbers
        are refused."""
        if value == 0:
            self.invalid(path, "is required")
        else:
            try:
                return member_of(names.Name(value).removeprefix(prefix))
            except ValueError:
                self.invalid(path, f"is {value}, which the enum does not have")
        return next(iter(member_of))

    def optional_enum(
        self, path: str, value: int, names: EnumNames, prefix: str, member_of: type[E]
    ) -> E | None:
        """As `enum`; None for 0."""
        return self.enum(path, value, names, prefix, member_of) if value else None

    def url(self, path: str, value: str, *, allow_private: bool = True) -> str:
        """An http or https URL without credentials, as sent.

        `allow_private=False` is for URLs that are dialled. It refuses `localhost`, and addresses that are not
        public, in any notation. A name that resolves to such an address is accepted here and refused by
        `CheckedTransport`, which resolves it.
        """
        if problem := _problem_of_url(value, allow_private=allow_private):
            self.invalid(path, problem)
            return ""
        return value

    def labels(self, path: str, value: Mapping[str, str]) -> dict[str, str]:
        """At most 16 labels of 1 KiB together. A key has no `=`, since `key=value` names a label's budget."""
        if len(value) > LABELS_MAX:
            self.invalid(path, f"has more than {LABELS_MAX} labels")
            return {}
        labels = dict(value)  # copied once: iterating over a protobuf map is slow
        for key, label in labels.items():
            self.text(path, key, max_length=LABEL_KEY_LENGTH_MAX)
            if "=" in key:
                self.invalid(path, "has a key with an equals sign")
            self.text(path, label, max_length=LABEL_VALUE_LENGTH_MAX, required=False)
        if sum(len(key.encode()) + len(label.encode()) for key, label in labels.items()) > LABELS_BYTES_MAX:
            self.invalid(path, f"is longer than {LABELS_BYTES_MAX} bytes together")
        return labels


def _problem_of_url(value: str, *, allow_private: bool) -> str | None:
    if not value:
        return "is required"
    if len(value) > URL_LENGTH_MAX:
        return f"is longer than {URL_LENGTH_MAX} characters"
    if found := NOT_IN_A_LINE.search(value):
        return what_is_unfit(found)
    if any(character.isspace() or character in '\\<>"' for character in value):
        return "is not a URL"
    try:
        parts = urlsplit(value)
        host = plain_host(parts.hostname or "")
        parts.port  # noqa: B018 - the property raises for an invalid port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "is not an http or https URL"
    if not host:
        return "has no host"
    if "@" in parts.netloc:
        return "has credentials in it"
    if not allow_private:
        if address_in(host) is None and not _DIALLED_NAME.fullmatch(host):
            return "has a host that is neither a name nor an address"
        if is_private_host(host):
            return "points at an address that is not public"
    return None
