"""Governed model calls with the Python client, and how the end of the block ends the hold.

    .venv/bin/python examples/governed_call.py [HOST:PORT of the governor]

Run it beside `make serve`. `answer_of` stands for the call to a model provider.
"""

from __future__ import annotations

import sys
from typing import Any
from uuid import uuid4

from governor_client import SyncGovernorClient, usage_of
from infin8.governor.v1.authorization_pb2 import Authorization
from service_chassis.refusal import Refusal


def answer_of(hold: Authorization) -> dict[str, Any]:
    """A real call would send hold.model, and max_tokens=hold.output_tokens_max, to a provider."""
    usage = {"prompt_tokens": 1_200, "completion_tokens": 400, "total_tokens": 1_600}
    return {"id": "gen-1", "model": hold.model, "choices": [], "usage": usage}


def main(target: str) -> None:
    planned: dict[str, Any] = {
        "organization_id": uuid4(),
        "workflow_id": uuid4(),
        "models": ["perplexity/sonar", "openai/gpt-4o-mini"],
        "input_tokens_max": 2_000,
        "output_tokens_max": 1_000,
    }
    with SyncGovernorClient.connect(target) as governor:
        # If the governor refuses (such as BUDGET_EXCEEDED), the block does not run.
        try:
            with governor.governed_call(**planned) as call:
                hold = call.dispatch()
                answer = answer_of(hold)
                settlement = call.settle(usage_of(answer), served_model=answer["model"])
        except Refusal as refusal:
            sys.exit(f"not authorized: {refusal.reason}: {refusal.message}")
        print(f"{hold.model}: {hold.held_nano_usd} nano-USD held, {settlement.entry.cost_nano_usd} charged")

        # An error before dispatch(): nothing was sent, so the hold is voided.
        try:
            with governor.governed_call(**planned):
                raise ValueError("the prompt cannot be made")
        except ValueError as error:
            print(f"{error}: voided, nothing charged")

        # An error after dispatch(): the call may have cost money, so the hold is charged until the cost is
        # known.
        try:
            with governor.governed_call(**planned) as call:
                answer_of(call.dispatch())
                raise TimeoutError("the connection broke")
        except TimeoutError as error:
            print(f"{error}: settled as unknown, the hold is charged")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
