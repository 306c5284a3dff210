"""S6, S18, S19: SQL clients' ids lead to the same names, and to the same models, as ids in requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governor_service.app.load_price_list import load_price_list
from governor_service.domain.model_name_rules import ROWS
from governor_service.domain.model_names import candidate_names, resolve
from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings
from tests.pricing.test_model_names import alternate_names, priced_names, real_ids

RANDOM_IDS = 2500

ALIASES = {
    "acme-large": "anthropic/claude-opus-4.5",
    # An operator's alias counts before a price and before the list's own alternate names.
    "openai/gpt-4o": "openai/gpt-4o-mini",
    "x-ai/grok-4": "x-ai/grok-3",
    "модель": "openai/o3",
}

_PARTS = (
    *(
        "openai/",
        "azure/",
        "azure:",
        "bedrock/",
        "vertex_ai/",
        "vercel_ai_gateway/",
        "openrouter/",
        "openrouter:",
    ),
    *(
        "litellm_proxy/",
        "models/",
        "publishers/google/models/",
        "arn:aws:bedrock:us-east-1::foundation-model/",
    ),
    *(
        "huggingface/",
        ":groq",
        "converse/",
        "us.",
        "global.",
        "anthropic.",
        "openai.",
        "claude-",
        "claude-v2",
    ),
    *(
        "gpt-4o",
        "gpt-oss-",
        "gpt-35-",
        "o3",
        "sonar",
        "glm-4",
        "deepseek-v3",
        "gemini-2.5",
        "-4-6",
        "-4",
        "-opus",
    ),
    *("3", "-mini", "-20240718", "-2024-07-18", "-202407-18", "-20251322", "-latest", "-001", "-v1", ":0"),
    *("@azure", "@20250514", ":free", ":extended", "ft:", "A", "/", "-", ".", ":", "@", " ", "~", "[", "\\"),
    *("VENDOR", "BARE", "É", "\u0130", "\u00a0", "\u2003", "\u200b", "\x01", "\x1c", "\x85", "\t", "\n"),
)
# PostgreSQL accepts no NUL, and no text with surrogates.
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
_ASCII = st.text("".join(chr(code) for code in range(1, 128)), max_size=60)
_JOINED = st.lists(st.sampled_from(_PARTS), max_size=10).map("".join)
_LONG = st.builds(lambda part, times: part * times, st.sampled_from(_PARTS), st.integers(2, 300))


async def random_ids() -> list[str]:
    """Ids of parts that mean something to the rules, and any other text. A thread runs Hypothesis."""
    found: list[str] = []

    @settings(max_examples=RANDOM_IDS, database=None, suppress_health_check=list(HealthCheck))
    @given(_JOINED | _JOINED | _ASCII | _TEXTS | _LONG)
    def collect(model_id: str) -> None:
        found.append(model_id)

    await asyncio.to_thread(collect)
    assert len(set(found)) > 2000
    return found


def all_known_ids() -> list[str]:
    """Real ids, every name in the price book and every other name of these models; also in capitals."""
    ids = [*(model_id for model_id, _ in real_ids()), *sorted(priced_names()), *sorted(alternate_names())]
    return [*ids, *(model_id.upper() for model_id, _ in real_ids())]


async def names_in_sql(
    connection: asyncpg.Connection, ids: Sequence[str], collation: str = "default"
) -> list[tuple[str, ...]]:
    rows = await connection.fetch(
        f"SELECT string_to_array(candidate_names(id COLLATE \"{collation}\"), E'\\t') AS names"
        " FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place) ORDER BY place",
        ids,
    )
    # An empty text is an empty array to string_to_array.
    return [tuple(row["names"]) or ("",) for row in rows]


def differences(ids: Sequence[str], in_sql: Sequence[object], in_python: Sequence[object]) -> list[object]:
    return [found for found in zip(ids, in_sql, in_python, strict=True) if found[1] != found[2]]


async def test_both_read_the_same_rules(governor_dsn: str) -> None:
    """The services read the rows that the database's function returns."""
    connection = await asyncpg.connect(governor_dsn)
    try:
        rows = await connection.fetch("SELECT * FROM model_name_rules()")
    finally:
        await connection.close()
    assert [tuple(row) for row in rows] == [tuple(row) for row in ROWS]


async def test_names(governor_dsn: str) -> None:
    """The same names in the same order for every known id and for any text."""
    ids = [*all_known_ids(), *await random_ids()]
    connection = await asyncpg.connect(governor_dsn)
    try:
        in_sql = await names_in_sql(connection, ids)
    finally:
        await connection.close()
    assert differences(ids, in_sql, [candidate_names(model_id).names for model_id in ids]) == []


async def test_resolved_models(governor_dsn: str) -> None:
    """With the shipped prices and some aliases, the same model for every known id and for any text."""
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="test")
    try:
        await load_price_list(database, "shipped")
    finally:
        await database.close()
    # `модель` is written in capitals, which are letters only in ASCII: it is another id.
    ids = [*all_known_ids(), *ALIASES, *(alias.upper() for alias in ALIASES), *await random_ids()]
    connection = await asyncpg.connect(governor_dsn)
    try:
        await connection.executemany(
            "INSERT INTO model_aliases (alias, change_time, model, author)"
            " VALUES ($1, '2026-01-01Z', $2, 'test')",
            list(ALIASES.items()),
        )
        rows = await connection.fetch(
            "SELECT resolved_model(candidate_names(id), now()) AS model"
            " FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place) ORDER BY place",
            ids,
        )
    finally:
        await connection.close()
    stated = alternate_names() | ALIASES
    expected = [
        resolve(candidate_names(model_id).names, priced_names().__contains__, stated) for model_id in ids
    ]
    assert differences(ids, [row["model"] for row in rows], expected) == []
    assert {"anthropic/claude-opus-4.5", "openai/o3", "МОДЕЛЬ"} <= set(expected)


async def test_an_id_that_no_price_can_have_is_its_own_only_name(governor_dsn: str) -> None:
    """Names with a price are printable ASCII, up to 200 characters. Of others only ASCII's capitals and white
    space are rewritten, as neither language nor collation changes what these are."""
    ids = {
        "openai/gpt-4o-20240718\u00a0": "openai/gpt-4o-20240718\u00a0",
        "Modèle/X-20240718": "modèle/x-20240718",
        "МОДЕЛЬ-20240718": "МОДЕЛЬ-20240718",
        "İstanbul\t1": "İstanbul-1",
        "A\x01B": "a\x01b",
        "openai/" + "x" * 185 + "-20240718": "openai/" + "x" * 185 + "-20240718",
        "\x1c Openai/GPT-4O \n": "openai/gpt-4o",
        "a" * 5000: "a" * 5000,
    }
    connection = await asyncpg.connect(governor_dsn)
    try:
        in_sql = await names_in_sql(connection, list(ids))
        in_other_collation = await names_in_sql(connection, list(ids), "pg_c_utf8")
    finally:
        await connection.close()
    assert in_sql == in_other_collation == [(name,) for name in ids.values()]
    assert [candidate_names(model_id).names for model_id in ids] == in_sql
