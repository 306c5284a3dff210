"""The JSON that the simulator answers with: OpenRouter's, or what its script makes of it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from workflow_service.simulator.behaviours import Behaviour, BehaviourKind


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was received, and its outcome. `billed_nano_usd` is what the provider charges."""

    model: str
    step: str | None
    max_tokens: int
    behaviour: str | None
    status: int
    """0 if the connection was cut before a status was sent, or hangs."""
    generation_id: str | None = None
    served_model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    billed_nano_usd: int = 0


def completion(call: Call, text: str, finish_reason: str) -> dict[str, Any]:
    return {
        "id": call.generation_id,
        "object": "chat.completion",
        "provider": "Simulator",
        "model": call.served_model,
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "native_finish_reason": finish_reason,
                "message": {"role": "assistant", "content": text},
            }
        ],
        "usage": {
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
            "total_tokens": call.input_tokens + call.output_tokens,
            "cost": _usd(call.billed_nano_usd),
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def reshape(document: dict[str, Any], behaviour: Behaviour) -> None:
    """Makes of a good completion what the behaviour says; for the kinds that change its JSON alone."""
    document["usage"] |= behaviour.usage
    [choice] = document["choices"]
    message = choice["message"]
    match behaviour.kind:
        case BehaviourKind.ERROR_INSIDE:
            del document["choices"]
            document["error"] = error_of(behaviour)
            if not behaviour.with_usage:
                del document["usage"]
        case BehaviourKind.ERROR_IN_CHOICE:
            choice |= {"error": error_of(behaviour), "finish_reason": "error"}
            if not behaviour.with_usage:
                del document["usage"]
        case BehaviourKind.NO_CHOICES:
            document["choices"] = []
        case BehaviourKind.MISSING_USAGE:
            del document["usage"]
        case BehaviourKind.BARE_USAGE:
            document["usage"] = behaviour.usage
        case BehaviourKind.CONTENT_PARTS:
            text = message["content"]
            half = len(text) // 2
            message["content"] = [
                {"type": "thinking", "thinking": "What is asked for?"},
                {"type": "text", "text": text[:half]},
                {"type": "text", "text": text[half:]},
            ]
        case BehaviourKind.REASONING_CONTENT:
            message |= {"content": None, "reasoning_content": message["content"]}
        case BehaviourKind.OUTPUT_LIMIT:
            message |= {"content": None, "reasoning": "First of all, I have to"}
            reasoning = {"reasoning_tokens": document["usage"]["completion_tokens"]}
            document["usage"]["completion_tokens_details"] = reasoning
        case _:  # the other kinds have shaped the answer already
            pass


def error_of(behaviour: Behaviour) -> object:
    return (
        {"code": behaviour.status, "message": behaviour.message}
        if behaviour.error is None
        else behaviour.error
    )


def generation_record(call: Call, behaviour: Behaviour | None, *, is_streamed: bool) -> dict[str, Any]:
    """What `/generation` tells of a call."""
    record = {
        "id": call.generation_id,
        "model": call.served_model,
        "provider_name": "Simulator",
        "total_cost": _usd(call.billed_nano_usd),
        "tokens_prompt": call.input_tokens,
        "tokens_completion": call.output_tokens,
        "native_tokens_prompt": call.input_tokens,
        "native_tokens_completion": call.output_tokens,
        "native_tokens_reasoning": 0,
        "native_tokens_cached": 0,
        "streamed": is_streamed,
        "is_byok": False,
    }
    return record | (behaviour.record if behaviour is not None else {})


def _usd(nano_usd: int) -> float:
    """For JSON: the shortest text of this float is the exact amount, as long as it has at most 15 digits."""
    return float(Decimal(nano_usd).scaleb(-9))
