"""S6, S18, S19: the SQL functions give a model's name the same canonical form as the services."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Sequence

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governor_service.domain.model_names import canonical_model

TABLE = [
    "openai/gpt-4o-mini",
    " OpenAI/GPT-4o-mini\n",
    "openai/gpt-4o-mini@azure",
    "z-ai/glm-5@novita:free",
    "z-ai/glm-5-20260211:free@novita",
    "openai/gpt-4o-mini-2024-07-18",
    "qwen/qwen-plus-2025-07-28-20250728:thinking",
    "vendor/model-2024-0718",
    "vendor/model-202407-18",
    "vendor/model-20251322",
    "vendor/model-20250732",
    "vendor/-20240718",
    "-20240718",
    "a-20240718 -20240718",
    "gpt-4o-mini-2024-07-18",
    "gpt-j-6b",
    "gpt-oss-120b",
    "chatgpt-4o-latest",
    "o3",
    "o3-mini",
    "o33",
    "claude-3.5-sonnet@20240620",
    "gemini-2.5-pro",
    "sonar",
    "sonar-pro",
    "sonarqube",
    "grok-4-fast",
    "glm-4-32b",
    "a\nclaude-3",
    "/",
    ":free",
    "@",
    "",
]

_WORDS = st.sampled_from(["openai/", "gpt-4o", "o3", "sonar", "claude-", "-20240718", "-2024-07-18", "2024"])
_PARTS = _WORDS | st.sampled_from(["@azure", ":free", "A", "/", "-", " ", "\n", "\t", "\x1f"])
# ASCII names; PostgreSQL accepts no NUL.
_NAMES = st.lists(_PARTS, max_size=8).map("".join) | st.text(
    "".join(chr(code) for code in range(1, 128)), max_size=40
)


async def in_sql(dsn: str, names: Sequence[str]) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT canonical_model(name) FROM unnest($1::text[]) WITH ORDINALITY AS n (name, place)"
            " ORDER BY place",
            names,
        )
        return [row[0] for row in rows]
    finally:
        await connection.close()


async def test_a_table_of_names(governor_dsn: str) -> None:
    """Case, white space, provider, variant, date and vendor, each alone and together."""
    assert await in_sql(governor_dsn, TABLE) == [canonical_model(name).model for name in TABLE]


async def test_any_name(governor_dsn: str) -> None:
    """SQL and Python agree on any ASCII name."""
    found: list[str] = []

    @settings(max_examples=2000, database=None, suppress_health_check=list(HealthCheck))
    @given(_NAMES)
    def collect(name: str) -> None:
        found.append(name)

    await asyncio.to_thread(collect)
    assert await in_sql(governor_dsn, found) == [canonical_model(name).model for name in found]


async def test_other_names_stay_unpriced(governor_dsn: str) -> None:
    """A name with other characters is never in the price book, which has printable ASCII names only."""
    names = ["modèle/x", "МОДЕЛЬ", "z-ai/glm\u00a05"]
    for name, canonical in zip(names, await in_sql(governor_dsn, names), strict=True):
        assert not set(canonical) <= set(string.printable), name
