"""Named queries."""

from __future__ import annotations

import pytest

from service_chassis.postgres.queries import Queries

SOURCE = """-- What this file is about.

-- name: count_things
-- How many there are.
SELECT count(*) FROM things;

-- name: add_thing_if_missing
INSERT INTO things VALUES ($1) ON CONFLICT DO NOTHING;
"""


def test_a_query_is_found_by_its_name() -> None:
    """The SQL carries its name in a comment, so that the server's views show it."""
    queries = Queries(SOURCE, "things.sql")
    assert list(queries) == ["count_things", "add_thing_if_missing"]
    assert queries["count_things"].splitlines()[0] == "-- count_things"
    assert queries["count_things"].endswith("SELECT count(*) FROM things;")


def test_a_name_that_is_not_there() -> None:
    """An unknown name raises KeyError, at import time where it is looked up there."""
    with pytest.raises(KeyError):
        Queries(SOURCE, "things.sql")["no_such"]


@pytest.mark.parametrize("source", [SOURCE + SOURCE, "SELECT 1;\n" + SOURCE])
def test_a_file_that_is_no_list_of_queries(source: str) -> None:
    """A name that is defined twice, or SQL without a name, is an error and not lost silently."""
    with pytest.raises(ValueError, match=r"things\.sql"):
        Queries(source, "things.sql")
