"""The client of OpenRouter's API, and of the simulator that speaks it."""

from workflow_service.clients.openrouter_types import (
    NOT_CHARGED,
    UNKNOWN,
    Charge,
    ChargeKind,
    Completion,
    CompletionRequest,
    GenerationRecord,
    MaxPrice,
    ModelCallFailed,
    TokenUsage,
)

__all__ = [
    "NOT_CHARGED",
    "UNKNOWN",
    "Charge",
    "ChargeKind",
    "Completion",
    "CompletionRequest",
    "GenerationRecord",
    "MaxPrice",
    "ModelCallFailed",
    "OpenRouterClient",
    "TokenUsage",
]


class OpenRouterClient:
    """One per process; calls may run at once. Close it when done."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sends the request once. Raises ModelCallFailed for everything that is no whole answer."""
        raise NotImplementedError

    async def generation(self, generation_id: str) -> GenerationRecord | None:
        """The provider's record, or None if it has none (yet). Raises ModelCallFailed if it cannot be asked."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
