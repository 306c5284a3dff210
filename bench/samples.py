"""What one measurement of one load comes to."""

from __future__ import annotations

from dataclasses import dataclass


class LoadFailedError(Exception):
    """Calls failed, so that their rate says nothing. Its text is for people."""


@dataclass(frozen=True)
class Sample:
    """None: not known of this load."""

    pairs_per_second: float
    """Of Authorize and Settle; of single calls for reports and for the document's function."""
    p50_seconds: float | None = None
    """Of a pair's two calls together, or of a batch's; so is p99."""
    p99_seconds: float | None = None
    server_cpu_us: float | None = None
    """Processor time for each pair in the processes of the governor or the echo; so are its siblings."""
    postgres_cpu_us: float | None = None
    client_cpu_us: float | None = None
    calls_per_transaction: float | None = None
    """How many decisions were committed together, on average."""
