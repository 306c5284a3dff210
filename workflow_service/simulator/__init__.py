"""A local model server that speaks OpenRouter's API, for runs without an API key and for tests.

It answers every step's prompt with fitting, deterministic content, counts tokens and cost as a provider
would, and misbehaves on request. `python -m workflow_service.simulator --port 0` runs it as a process of its
own; `async with Simulator() as simulator` runs it inside another, on a real socket all the same.
"""

from workflow_service.simulator.behaviours import Behaviour, BehaviourKind
from workflow_service.simulator.prices import ModelPrice
from workflow_service.simulator.server import Simulator

__all__ = ["Behaviour", "BehaviourKind", "ModelPrice", "Simulator"]
