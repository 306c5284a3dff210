"""Money is an integer number of nano-USD everywhere: 1 USD = 1,000,000,000. No float touches it."""

from decimal import ROUND_CEILING, Decimal

NANO_USD_PER_USD = 10**9

ENTRY_COST_NANO_USD_MAX = 10**15
"""The most that one ledger entry, or the cost that a provider reports for it, may be: a million USD."""


BUDGET_TOTAL_NANO_USD_MAX = 9 * 10**18
"""The most that a budget may come to, spent and held together: nine billion USD, just below int64's."""


def nano_usd(usd: Decimal) -> int:
    """A decimal amount of USD in nano-USD. What is finer than a nano-dollar counts as a whole one."""
    return int((usd * NANO_USD_PER_USD).to_integral_value(rounding=ROUND_CEILING))
