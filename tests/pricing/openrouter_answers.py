"""Answers of OpenRouter's /models."""

import json
from typing import Any


def answer(*models: tuple[str, dict[str, Any]]) -> str:
    """An answer of OpenRouter's /models, which has more than prices."""
    return json.dumps(
        {
            "data": [
                {"id": model, "name": model, "context_length": 128_000, "pricing": pricing}
                for model, pricing in models
            ]
        }
    )
