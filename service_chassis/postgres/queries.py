"""Named queries: each is in a `.sql` file beside the Python that runs it, below `-- name: its_name`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\S+)[ \t]*$", re.MULTILINE)


class Queries(Mapping[str, str]):
    """The queries of one file by name; KeyError for an unknown name."""

    def __init__(self, source: str, filename: str) -> None:
        """ValueError for a repeated name, and for SQL before the first name."""
        preamble, *blocks = _NAME.split(source)
        if any(line.strip() and not line.startswith("--") for line in preamble.splitlines()):
            raise ValueError(f"{filename}: SQL before the first `-- name:` line")
        self._filename = filename
        self._sql_by_name: dict[str, str] = {}
        for name, body in zip(blocks[::2], blocks[1::2], strict=True):
            if name in self._sql_by_name:
                raise ValueError(f"{filename}: two queries are named {name}")
            # The SQL begins with the name, so that pg_stat_activity and pg_stat_statements show it.
            self._sql_by_name[name] = f"-- {name}\n{body.strip()}"

    def __getitem__(self, name: str) -> str:
        return self._sql_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sql_by_name)

    def __len__(self) -> int:
        return len(self._sql_by_name)

    def __repr__(self) -> str:
        return f"Queries({self._filename})"


def load_queries(package: str, filename: str) -> Queries:
    """The queries of `filename`, which is packaged in `package` (usually `__package__`)."""
    return Queries((files(package) / filename).read_text(encoding="utf-8"), filename)
