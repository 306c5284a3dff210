"""Money for people to read. Nothing is rounded."""

from __future__ import annotations

_NANO = 10**9


def usd(nano_usd: int) -> str:
    """Nine decimals: `usd(1_500)` is "0.000001500"."""
    sign = "-" if nano_usd < 0 else ""
    whole, nano = divmod(abs(nano_usd), _NANO)
    return f"{sign}{whole}.{nano:09d}"
