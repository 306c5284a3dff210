"""The one exception by which our code refuses a request. Pure, so that domain code may raise it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_MESSAGE_LENGTH_MAX: Final = 500


@dataclass(frozen=True)
class FieldViolation:
    """A request field, by its path, and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True)
class QuotaViolation:
    """A budget that denied, and by how much."""

    subject: str
    description: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a failure of ours
    """A request that is refused, and why.

    `reason` is a name of the package's ErrorReason without its prefix. `message` and `metadata` go to the
    caller: no SQL, no prompt, no key in them.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        quotas: Sequence[QuotaViolation] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.fields = tuple(fields)
        self.quotas = tuple(quotas)
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def invalid_field(field: str, description: str) -> Refusal:
    """INVALID_FIELD: the field's value can never be accepted."""
    return bad_fields([FieldViolation(field, description)], [])


def too_large(field: str, description: str) -> Refusal:
    """VALUE_TOO_LARGE: the number is well formed but above its stated bound."""
    return bad_fields([], [FieldViolation(field, description)])


def bad_fields(invalid: Sequence[FieldViolation], too_large: Sequence[FieldViolation]) -> Refusal:
    """INVALID_FIELD that names every bad field; VALUE_TOO_LARGE if every bad field is only too large."""
    violations = [*invalid, *too_large]
    said = [f"{violation.field}: {violation.description}" for violation in violations]
    message = "; ".join(said)
    if len(message) > _MESSAGE_LENGTH_MAX and len(said) > 1:
        message = f"{said[0]}; also bad: {', '.join(violation.field for violation in violations[1:])}"
    if len(message) > _MESSAGE_LENGTH_MAX:
        message = f"{message[: _MESSAGE_LENGTH_MAX - 1]}…"
    return Refusal("INVALID_FIELD" if invalid else "VALUE_TOO_LARGE", message, fields=violations)
