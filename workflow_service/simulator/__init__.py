"""A local model server that speaks OpenRouter's API, for runs without an API key and for tests.

It answers the prompts of all steps with suitable, deterministic content, counts tokens and cost as a provider
does, and misbehaves on request. `python -m workflow_service.simulator --port 0` runs it as a process.
`async with Simulator() as simulator` runs it inside another process, also on a real socket.
"""

from workflow_service.simulator.behaviours import Behaviour, BehaviourKind
from workflow_service.simulator.prices import ModelPrice
from workflow_service.simulator.server import Simulator

__all__ = ["Behaviour", "BehaviourKind", "ModelPrice", "Simulator"]
