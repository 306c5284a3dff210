"""No provider may ask for more than the rates that a call's hold was made from."""

from __future__ import annotations

import pytest

from infin8.governor.v1.authorization_pb2 import Authorization
from infin8.governor.v1.price_pb2 import Price, Rate
from workflow_service.app.max_price import max_price
from workflow_service.clients.openrouter import MaxPrice

MTOK = 10**6
TIER = 272_000
TIERED = [
    Rate(unit="input_tokens", per=MTOK, nano_usd=4_000, input_tokens_above=0),
    Rate(unit="input_tokens", per=MTOK, nano_usd=8_000, input_tokens_above=TIER),
    Rate(unit="cache_write_tokens", per=MTOK, nano_usd=10_000, input_tokens_above=TIER),
    Rate(unit="output_tokens", per=MTOK, nano_usd=30_000, input_tokens_above=TIER),
    Rate(unit="output_tokens", per=MTOK, nano_usd=10_000, input_tokens_above=2 * TIER),
]


def authorized(*rates: Rate, input_tokens_max: int = 1000) -> Authorization:
    price = Price(
        input_nano_usd_per_mtok=4_000,
        cache_write_nano_usd_per_mtok=5_000,
        output_nano_usd_per_mtok=20_000,
        reasoning_nano_usd_per_mtok=25_000,
        request_nano_usd=7,
        rates=rates,
    )
    return Authorization(price=price, input_tokens_max=input_tokens_max)


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (authorized(), MaxPrice(4_000, 20_000, 7)),
        # A tier counts from the first token above its bound on, and a cheaper tier makes nothing cheaper.
        (authorized(*TIERED, input_tokens_max=TIER), MaxPrice(4_000, 20_000, 7)),
        (authorized(*TIERED, input_tokens_max=TIER + 1), MaxPrice(8_000, 30_000, 7)),
        (authorized(*TIERED, input_tokens_max=3 * TIER), MaxPrice(8_000, 30_000, 7)),
        # Rates are for as many units as they say, rounded up.
        (authorized(Rate(unit="requests", per=1000, nano_usd=12_001)), MaxPrice(4_000, 20_000, 13)),
        (authorized(Rate(unit="input_tokens", per=3, nano_usd=1)), MaxPrice(333_334, 20_000, 7)),
        (authorized(Rate(unit="web_searches", per=1000, nano_usd=10**10)), MaxPrice(4_000, 20_000, 7)),
    ],
)
def test_the_dearest_rate_within_reach(authorization: Authorization, expected: MaxPrice) -> None:
    assert max_price(authorization) == expected
