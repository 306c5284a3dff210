"""How the simulator misbehaves on request: a script of behaviours, consumed in order."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class BehaviourKind(StrEnum):
    """The calls of the first group are refused and cost nothing. Those of the second group are billed."""

    RATE_LIMITED = "rate_limited"
    """429 with `retry_after` (1 second unless told otherwise)."""
    STATUS = "status"
    """`status` with `message` in OpenRouter's error shape."""
    UNKNOWN_MODEL = "unknown_model"
    """400: not a valid model ID."""
    OUT_OF_CREDITS = "out_of_credits"
    """402 that no waiting helps."""
    IN_FLIGHT_CREDITS = "in_flight_credits"
    """402 with `retry_after`: calls in flight hold the credit."""
    MODERATED = "moderated"
    """403, with the flagged part of the prompt in its metadata."""

    STREAMED = "streamed"
    """A good answer, streamed in the form `form`."""
    SLOW = "slow"
    """Keeps the connection alive with nothing for `seconds`, then answers."""
    HANG = "hang"
    """Takes the request and never answers."""
    STALL = "stall"
    """Sends the first half of the answer, and no more."""
    CUT = "cut"
    """Closes the connection in the middle of the answer's body."""
    CUT_BEFORE_USAGE = "cut_before_usage"
    """Streams the whole text, and closes the connection before its usage."""
    CUT_BEFORE_ANSWER = "cut_before_answer"
    """Closes the connection before the first byte of the answer."""
    ERROR_INSIDE = "error_inside"
    """200 with an error of `status` at the top of the body, and with usage if `with_usage`."""
    ERROR_IN_CHOICE = "error_in_choice"
    """200 with an error of `status` in the choice, and with usage if `with_usage`."""
    TRUNCATED = "truncated"
    """200 with JSON that breaks off, or a stream that ends too early."""
    HTML = "html"
    """200 with a web page."""
    NO_CHOICES = "no_choices"
    """200 without a choice."""
    MISSING_USAGE = "missing_usage"
    """A good answer without usage."""
    USAGE = "usage"
    """A good answer. `usage` replaces fields of its usage."""
    BARE_USAGE = "bare_usage"
    """A good answer whose usage is `usage` and nothing else, as other providers name and count it."""
    CONTENT_PARTS = "content_parts"
    """A good answer whose content is a list of parts."""
    REASONING_CONTENT = "reasoning_content"
    """A good answer whose text is in `reasoning_content`, with no content."""
    OUTPUT_LIMIT = "output_limit"
    """No text: all the output tokens that were allowed went into reasoning, and are billed."""
    NOTHING = "nothing"
    """No text, no tokens, and nothing billed."""
    OTHER_MODEL = "other_model"
    """A good answer by `served_model`, billed at the asked model's price if its own is not known."""
    COST = "cost"
    """A good answer that reports the cost `cost_usd`."""
    UNPARSABLE = "unparsable"
    """A good answer whose text is not what the schema asks for."""


class StreamForm(StrEnum):
    """How servers of the same API stream their answers."""

    USUAL = "usual"
    """OpenRouter's: usage in a last chunk without choices, then [DONE]."""
    USAGE_WITH_CHOICE = "usage_with_choice"
    """Usage in the chunk that has the finish_reason."""
    USAGE_SO_FAR = "usage_so_far"
    """Counts so far in each chunk."""
    NO_DONE = "no_done"
    """Without [DONE]."""
    CRLF = "crlf"
    CR = "cr"
    ONE_LINE_END = "one_line_end"
    """One line end after each event, where the standard has two."""
    NO_SPACE = "no_space"
    """No space after the colon, and a name for each event."""
    BYTES = "bytes"
    """Byte by byte, so that characters are split."""
    UNTYPED = "untyped"
    """Under the content type text/plain."""
    PLAIN = "plain"
    """Not streamed, although that was asked for."""


class Behaviour(BaseModel):
    """One line of the script. It applies to the next `times` calls that match it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: BehaviourKind
    times: Annotated[int, Field(ge=1)] | None = 1
    """Null: until the script is reset."""
    model: str | None = None
    """Only calls for this model."""
    step: str | None = None
    """Only calls of this step, in lower case, as in `response_format`."""
    status: Annotated[int, Field(ge=400, le=599)] = 502
    message: str = "Provider returned error"
    error: Any = None
    """The error as another server words it, in place of {"code", "message"}: for the kinds with a status."""
    retry_after: str = "1"
    """The header's value: seconds, or an HTTP-date."""
    seconds: Annotated[float, Field(gt=0)] = 3600.0
    form: StreamForm = StreamForm.USUAL
    served_model: str = "openai/gpt-4o-mini"
    cost_usd: Annotated[Decimal, Field(allow_inf_nan=False)] = Decimal(1)
    usage: dict[str, Any] = {}
    """In place of the usage's own fields: of a good answer, and of an error with usage."""
    with_usage: bool = False
    record: dict[str, Any] = {}
    """What /generation says of the call in place of its own fields."""
    has_record: bool = True
    """False: /generation answers 404."""
    record_lookups: Annotated[int, Field(ge=0)] = 0
    """/generation answers 404 so many times, before it has the record."""

    def fits(self, *, model: str, step: str | None) -> bool:
        return (self.model is None or self.model == model) and (self.step is None or self.step == step)


class Script:
    """The behaviours that are left, oldest first. A call gets the first that matches it."""

    def __init__(self) -> None:
        self._left: list[tuple[Behaviour, int | None]] = []

    def add(self, behaviours: Iterable[Behaviour]) -> None:
        self._left.extend((behaviour, behaviour.times) for behaviour in behaviours)

    def clear(self) -> None:
        self._left.clear()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, *, model: str, step: str | None) -> Behaviour | None:
        for position, (behaviour, times) in enumerate(self._left):
            if behaviour.fits(model=model, step=step):
                if times == 1:
                    del self._left[position]
                elif times is not None:
                    self._left[position] = (behaviour, times - 1)
                return behaviour
        return None
