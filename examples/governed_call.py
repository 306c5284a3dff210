"""Governed model calls with the Python client, and how the end of the block ends the hold.

    .venv/bin/python examples/governed_call.py [HOST:PORT of the governor]

Run it beside `make serve`. `answer_of` stands for the call to a model provider.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from governor_client import SyncGovernorClient
from infin8.governor.v1.authorization_pb2 import Authorization
from infin8.governor.v1.entry_pb2 import Usage
from service_chassis.refusal import Refusal


@dataclass
class Answer:
    model: str
    input_tokens: int
    output_tokens: int


def answer_of(hold: Authorization) -> Answer:
    """A real call would send hold.model, and max_tokens=hold.output_tokens_max, to a provider."""
    return Answer(model=hold.model, input_tokens=1_200, output_tokens=400)


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
                settlement = call.settle(
                    Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, requests=1),
                    served_model=answer.model,
                )
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
