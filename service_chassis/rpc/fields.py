"""Parsing of request fields. Each function returns the value or raises a Refusal naming the field's path."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import json
import re
import socket
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from asyncpg.pgproto import pgproto
from google.protobuf.message import Message

from service_chassis.refusal import Refusal, invalid_field, too_large

URL_LENGTH_MAX = 2048
LABELS_MAX = 16
LABEL_KEY_LENGTH_MAX = 64
LABEL_VALUE_LENGTH_MAX = 256
LABELS_BYTES_MAX = 1024
PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000

# A position of 1 KiB of text is three times as long escaped, and that a third longer in base64.
_PAGE_TOKEN_LENGTH_MAX = 8192
_PAGE_TOKEN_CHECKSUM_LENGTH = 16
_INT64_MAX = 2**63 - 1

_TIME_MIN = datetime(2000, 1, 1, tzinfo=UTC)
_UNIX_SECONDS_MIN = int(_TIME_MIN.timestamp())
_UNIX_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the end of google.protobuf.Timestamp
_DURATION_SECONDS_MAX = 315_576_000_000  # the bound of google.protobuf.Duration, about 10,000 years

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NIL_UUID = "00000000-0000-0000-0000-000000000000"
# They make a text read otherwise than it is stored: embeddings, overrides, isolates and marks.
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_NOT_IN_A_LINE = re.compile(f"[\0-\x1f\x7f-\x9f{_BIDI}]")
_NOT_IN_LINES = re.compile(f"[\0-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")  # line feed and tab may be


class EnumNames(Protocol):
    """A generated protobuf enum."""

    def Name(self, number: Any) -> str: ...  # noqa: N802 - protobuf's name


def required_uuid(path: str, value: str) -> UUID:
    """Canonical form, in lower or upper case. The nil UUID is nobody's id."""
    if not value:
        raise invalid_field(path, "is required")
    # uuid.UUID() alone takes braces, `urn:` and hyphens anywhere.
    if not _UUID.fullmatch(value):
        raise invalid_field(path, "is not a UUID in canonical form")
    if value == _NIL_UUID:
        raise invalid_field(path, "is the nil UUID")
    return pgproto.UUID(value)  # asyncpg's is a uuid.UUID, too, but parsed, compared and written in C


def optional_uuid(path: str, value: str) -> UUID | None:
    """As `required_uuid`; None for the empty string."""
    return required_uuid(path, value) if value else None


def text(path: str, value: str, *, max_length: int, required: bool = True, multiline: bool = False) -> str:
    """A text of at most `max_length` characters, as sent.

    Refused: control characters (but for line feed and tab where it is multiline), bidirectional controls, and
    nothing but white space where it is required.
    """
    if required and not value.strip():
        raise invalid_field(path, "is required")
    if len(value) > max_length:
        raise invalid_field(path, f"is longer than {max_length} characters")
    found = (_NOT_IN_LINES if multiline else _NOT_IN_A_LINE).search(value)
    if found:
        kind = "bidirectional control" if found[0] in _BIDI else "control character"
        raise invalid_field(path, f"has the {kind} U+{ord(found[0]):04X}")
    return value


def integer(path: str, value: int, *, minimum: int, maximum: int) -> int:
    """Below its minimum the value is invalid, above its maximum too large."""
    if value < minimum:
        raise invalid_field(path, f"is {value}; at least {minimum} is needed")
    if value > maximum:
        raise too_large(path, f"is {value}; at most {maximum} is accepted")
    return value


def timestamp(path: str, message: Message, field: str) -> datetime | None:
    """Aware, in UTC, cut to microseconds as PostgreSQL keeps them; None if the field is unset."""
    if not message.HasField(field):
        return None
    sent = getattr(message, field)
    if not 0 <= sent.nanos < 1_000_000_000:
        raise invalid_field(path, "has nanos outside 0 … 999,999,999")
    if sent.seconds < _UNIX_SECONDS_MIN:
        raise invalid_field(path, "is before the year 2000")
    if sent.seconds > _UNIX_SECONDS_MAX:
        raise invalid_field(path, "is after the year 9999")
    return _TIME_MIN + timedelta(seconds=sent.seconds - _UNIX_SECONDS_MIN, microseconds=sent.nanos // 1000)


def duration(
    path: str, message: Message, field: str, *, minimum: timedelta, maximum: timedelta
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
        raise invalid_field(path, "is not a valid google.protobuf.Duration")
    parsed = timedelta(seconds=sent.seconds, microseconds=int(sent.nanos / 1000))
    if parsed < minimum:
        raise invalid_field(path, f"is shorter than {minimum.total_seconds():g} s")
    if parsed > maximum:
        raise too_large(path, f"is longer than {maximum.total_seconds():g} s")
    return parsed


def enum_name(path: str, value: int, enum: EnumNames, prefix: str) -> str:
    """The value's name without `prefix`, e.g. `ICP` of `STEP_ICP`. 0 and unknown numbers are refused."""
    if value == 0:
        raise invalid_field(path, "is required")
    try:
        name = enum.Name(value)
    except ValueError:
        raise invalid_field(path, f"is {value}, which the enum does not have") from None
    return name.removeprefix(prefix)


def url(path: str, value: str, *, allow_private: bool = True) -> str:
    """An http(s) URL without credentials, as sent.

    `allow_private=False` refuses addresses that are not public, in whatever form they are written, and
    `localhost`. A name that resolves to such an address passes: who connects has to look at the address.
    """
    if not value:
        raise invalid_field(path, "is required")
    if len(value) > URL_LENGTH_MAX:
        raise invalid_field(path, f"is longer than {URL_LENGTH_MAX} characters")
    text(path, value, max_length=URL_LENGTH_MAX)
    if any(character.isspace() or character in '\\<>"' for character in value):
        raise invalid_field(path, "is not a URL")
    try:
        parts = urlsplit(value)
        host = unicodedata.normalize("NFKC", parts.hostname or "").rstrip(".")
        parts.port  # noqa: B018 - the property raises for a port that is none
    except ValueError:
        raise invalid_field(path, "is not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise invalid_field(path, "is not an http or https URL")
    if not host:
        raise invalid_field(path, "has no host")
    if "@" in parts.netloc:
        raise invalid_field(path, "has credentials in it")
    if not allow_private and _is_private(host):
        raise invalid_field(path, "points at an address that is not public")
    return value


def labels(path: str, value: Mapping[str, str]) -> dict[str, str]:
    """At most 16 labels of 1 KiB together. A key has no `=`: `key=value` names a label's budget."""
    if len(value) > LABELS_MAX:
        raise invalid_field(path, f"has more than {LABELS_MAX} labels")
    labels = dict(value)  # once, since protobuf's maps iterate in Python
    for key, label in labels.items():
        text(path, key, max_length=LABEL_KEY_LENGTH_MAX)
        if "=" in key:
            raise invalid_field(path, "has a key with an equals sign")
        text(path, label, max_length=LABEL_VALUE_LENGTH_MAX, required=False)
    if sum(len(key.encode()) + len(label.encode()) for key, label in labels.items()) > LABELS_BYTES_MAX:
        raise invalid_field(path, f"is longer than {LABELS_BYTES_MAX} bytes together")
    return labels


def page_size(path: str, value: int) -> int:
    """0 means the default of 50; at most 1,000."""
    return integer(path, value, minimum=0, maximum=PAGE_SIZE_MAX) or PAGE_SIZE_DEFAULT


def encode_page_token(*, scope: str, position: Sequence[str | int]) -> str:
    """Opaque to the caller. `scope` names method, organization and filters; else it is refused."""
    body = json.dumps(list(position), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_page_token_checksum(scope, body) + body).decode().rstrip("=")


def decode_page_token(path: str, token: str, *, scope: str) -> list[str | int] | None:
    """The position that `encode_page_token` was given for the same scope; None for the empty token."""
    if not token:
        return None
    refusal = invalid_field(path, "is not a page token of this list")
    if len(token) > _PAGE_TOKEN_LENGTH_MAX or not token.isascii():
        raise refusal
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise refusal from None
    checksum, body = raw[:_PAGE_TOKEN_CHECKSUM_LENGTH], raw[_PAGE_TOKEN_CHECKSUM_LENGTH:]
    if checksum != _page_token_checksum(scope, body):
        raise refusal
    return _position(body, refusal)


def content_hash(message: Message) -> bytes:
    """SHA-256 of the fields as sent: the same `request_id` with another hash is another request."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()


def _page_token_checksum(scope: str, body: bytes) -> bytes:
    scope_hash = hashlib.sha256(scope.encode()).digest()
    return hashlib.sha256(scope_hash + body).digest()[:_PAGE_TOKEN_CHECKSUM_LENGTH]


def _position(body: bytes, refusal: Refusal) -> list[str | int]:
    """The checksum is no secret: who computes one still gets no further than values the store can take."""
    try:
        position = json.loads(body)
        if not isinstance(position, list):
            raise refusal
        for part in position:
            if type(part) is int and -_INT64_MAX <= part <= _INT64_MAX:
                continue
            if not isinstance(part, str) or "\0" in part:
                raise refusal
            part.encode()  # a lone surrogate cannot be stored
    except (ValueError, RecursionError):
        raise refusal from None
    return position


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host)
    except ValueError:
        try:
            # 127.1, 0x7f.1 and 2130706433 are addresses, too, to whoever connects.
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeEncodeError):
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not address.is_global or address.is_multicast
