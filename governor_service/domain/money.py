"""Money is an integer number of nano-USD everywhere: 1 USD = 1,000,000,000. No float touches it."""

from decimal import ROUND_CEILING, Decimal

NANO_USD_PER_USD = 10**9

ENTRY_COST_NANO_USD_MAX = 10**15
"""The most that one ledger entry, or the cost that a provider reports for it, may be: a million USD."""


BUDGET_TOTAL_NANO_USD_MAX = 9 * 10**18
"""The most that spent + held of a budget may be: nine billion USD, just below the largest int64."""


def nano_usd(usd: Decimal) -> int:
    """A decimal amount of USD in nano-USD. Rounds a fraction of a nano-USD up."""
    return int((usd * NANO_USD_PER_USD).to_integral_value(rounding=ROUND_CEILING))
