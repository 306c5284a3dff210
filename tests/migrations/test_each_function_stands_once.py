"""Each SQL function is defined once, in the folder of functions, and the database has exactly these."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.migrations.conftest import fetch

ROOT = Path(__file__).parents[2]
SERVICES = ["governor", "workflow"]
DEFINITION = re.compile(r"^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|VIEW) (\w+)", re.MULTILINE)


def sql_of(folder: str) -> dict[str, str]:
    found = {path.name: path.read_text("utf-8") for path in (ROOT / "migrations" / folder).glob("*.sql")}
    assert found
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_no_function_is_defined_twice(service: str) -> None:
    """No function has two definitions, neither in two files nor in one."""
    names = Counter(
        name for sql in sql_of(f"{service}/functions").values() for name in DEFINITION.findall(sql)
    )
    assert names
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("service", SERVICES)
def test_versioned_files_define_none(service: str) -> None:
    """Versioned files also use no function: tables come first, so the set can be replaced at any time."""
    names = {name for sql in sql_of(f"{service}/functions").values() for name in DEFINITION.findall(sql)}
    for file, sql in sql_of(service).items():
        code = re.sub(r"--.*", "", sql)
        assert DEFINITION.findall(code) == [], file
        if file != "folded.sql":
            assert [name for name in names if re.search(rf"\b{name}\(", code)] == [], file


@pytest.mark.parametrize("service", SERVICES)
def test_functions_can_be_replaced_in_any_order(service: str) -> None:
    """Function bodies are strings, so PostgreSQL records no dependency between them."""
    for file, sql in sql_of(f"{service}/functions").items():
        assert re.findall(r"^CREATE (?!OR REPLACE (?:FUNCTION|VIEW|TRIGGER) )", sql, re.MULTILINE) == [], file
        assert "BEGIN ATOMIC" not in sql, file
        assert re.findall(r"^RETURN\b", sql, re.MULTILINE) == [], file


@pytest.mark.parametrize("service", SERVICES)
async def test_the_database_has_those_and_no_others(
    postgres: EmbeddedPostgres, request: pytest.FixtureRequest, service: str
) -> None:
    template = request.getfixturevalue(f"{service}_template")
    defined = {name for sql in sql_of(f"{service}/functions").values() for name in DEFINITION.findall(sql)}
    found = await fetch(
        postgres.dsn(template, role=service),
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " UNION ALL SELECT viewname FROM pg_views WHERE schemaname = 'public'",
    )
    assert sorted(name for (name,) in found) == sorted(defined)


def test_each_folder_has_a_version() -> None:
    """The version tells an older instance that the functions in the database are newer."""
    for service in SERVICES:
        assert int((ROOT / "migrations" / service / "functions" / "VERSION").read_text("utf-8")) > 0
