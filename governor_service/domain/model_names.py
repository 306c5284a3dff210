"""One name for each model: `vendor/model`, in lower case, without parts that do not change its price.

Providers report the model that served a call under many names. These parts are removed:

- the provider that hosts it, after `@` (`openai/gpt-4o-mini@azure`);
- the variant, after `:` (`:free`, `:online`, `:nitro`, `:thinking`, …). The governor charges a free variant
  like the model itself, although the provider charges nothing: no name makes a call free;
- a full date at the end, `-20251222` or `-2024-07-18`: a snapshot of the model.

Shorter numbers are kept (`-0324`, `-2507`, `-08-2024`). Some are dates, but listings have separate prices for
such models (`deepseek/deepseek-r1-0528`, `qwen/qwen3-30b-a3b-instruct-2507`, `cohere/command-r-08-2024`).
Others are not dates (`perplexity/r1-1776`).

A name without a vendor gets one if its family belongs to a single vendor (`gpt-4o-mini`). Any other name
stays as it is, and is unpriced: `glm-4-32b` may be `z-ai/` or `thudm/`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_FULL_DATE = re.compile(r"(?<=[^/])-20[0-9]{2}(?:(-)?)(?:0[1-9]|1[0-2])(?(1)-)(?:0[1-9]|[12][0-9]|3[01])\Z")

_VENDOR_OF_FAMILY = (
    (re.compile(r"gpt-[0-9]|gpt-oss-|chatgpt-|o[1-9](?:-|\Z)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "google"),
    (re.compile(r"sonar(?:-|\Z)"), "perplexity"),
    (re.compile(r"grok-"), "x-ai"),
)


_PRICEABLE = re.compile(r"(?!.*[@:A-Z])[!-~]{1,200}")


@dataclass(frozen=True)
class Resolution:
    """A canonical name, and the steps that led to it, in order, for people to read."""

    model: str
    steps: tuple[str, ...]


@lru_cache(maxsize=4096)
def canonical_model(model_id: str) -> Resolution:
    """The canonical name of a model id. A name that is canonical resolves to itself, without steps."""
    steps: list[str] = []
    model = model_id.strip()
    if model != model_id:
        steps.append("whitespace")
    lowered = model.lower()
    if lowered != model:
        steps.append("case")
    model, *tails = re.split(r"(?=[@:])", lowered)
    steps.extend(f"{'provider' if tail[0] == '@' else 'variant'} {tail.rstrip()}" for tail in tails)
    model = model.rstrip()
    while date := _FULL_DATE.search(model):
        steps.append(f"date {date[0]}")
        model = model[: date.start()].rstrip()
    if "/" not in model:
        for family, vendor in _VENDOR_OF_FAMILY:
            if family.match(model):
                steps.append(f"vendor {vendor}/")
                model = f"{vendor}/{model}"
    return Resolution(model, tuple(steps))


def is_priceable(model: str) -> bool:
    """Whether the price book takes a canonical name: up to 200 printable ASCII characters."""
    return _PRICEABLE.fullmatch(model) is not None
