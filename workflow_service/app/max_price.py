"""The most that a provider may ask for a call, so that its cost stays within its hold."""

from __future__ import annotations

from infin8.governor.v1.authorization_pb2 import Authorization
from workflow_service.clients.openrouter import MaxPrice

_MTOK = 1_000_000


def max_price(authorization: Authorization) -> MaxPrice:
    """The dearest rates that the authorized price has for a call of this size.

    A price with tiers has rates for calls with more input than a bound. Those of the tiers that the call may
    reach are in its hold.
    """
    price = authorization.price
    input_, output, request = (
        price.input_nano_usd_per_mtok,
        price.output_nano_usd_per_mtok,
        price.request_nano_usd,
    )
    for rate in price.rates:
        if rate.input_tokens_above >= authorization.input_tokens_max:
            continue
        match rate.unit:
            case "input_tokens":
                input_ = max(input_, _rounded_up(rate.nano_usd * _MTOK, rate.per))
            case "output_tokens":
                output = max(output, _rounded_up(rate.nano_usd * _MTOK, rate.per))
            case "requests":
                request = max(request, _rounded_up(rate.nano_usd, rate.per))
            case _:
                pass  # OpenRouter takes no bound for other units
    return MaxPrice(input_nano_usd_per_mtok=input_, output_nano_usd_per_mtok=output, request_nano_usd=request)


def _rounded_up(nano_usd: int, per: int) -> int:
    return -(-nano_usd // per)
