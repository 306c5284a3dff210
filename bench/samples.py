"""The result of one measurement of one load."""

from __future__ import annotations

from dataclasses import dataclass


class LoadFailedError(Exception):
    """Calls failed, so their rate means nothing. The text is for people."""


@dataclass(frozen=True)
class Sample:
    """None: not known for this load."""

    pairs_per_second: float
    """Pairs of Authorize and Settle. For reports and the document's function: single calls."""
    p50_seconds: float | None = None
    """Time for the two calls of a pair, or of a pair of batches. The same for p99."""
    p99_seconds: float | None = None
    server_cpu_us: float | None = None
    """Processor time for each pair, in the processes of the governor or the echo server. The next two are the
    same for PostgreSQL and the client."""
    postgres_cpu_us: float | None = None
    client_cpu_us: float | None = None
    calls_per_transaction: float | None = None
    """How many calls were committed in one transaction, on average."""
