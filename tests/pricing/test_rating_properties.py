"""Properties of every plain price and usage within the bounds."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from governor_service.domain.hold_bounds import CallBounds, hold_nano_usd, output_tokens_that_fit
from governor_service.domain.pricing import PRICE_NANO_USD_PER_MTOK_MAX, REQUEST_NANO_USD_MAX, Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import REQUESTS_MAX, TOKENS_MAX, Usage

_per_mtok = st.integers(0, PRICE_NANO_USD_PER_MTOK_MAX) | st.integers(0, 10**7)
_tokens = st.integers(0, TOKENS_MAX) | st.integers(0, 1000)
_requests = st.integers(0, REQUESTS_MAX) | st.integers(0, 3)


@st.composite
def _rates(draw: st.DrawFn) -> Rates:
    return Rates(
        input_nano_usd_per_mtok=draw(_per_mtok) or 1,
        cached_input_nano_usd_per_mtok=draw(st.none() | _per_mtok),
        cache_write_nano_usd_per_mtok=draw(st.none() | _per_mtok),
        output_nano_usd_per_mtok=draw(_per_mtok),
        reasoning_nano_usd_per_mtok=draw(st.none() | _per_mtok),
        request_nano_usd=draw(st.integers(0, REQUEST_NANO_USD_MAX)),
    )


@st.composite
def _usages(draw: st.DrawFn) -> Usage:
    cached, written, plain = draw(_tokens), draw(_tokens), draw(_tokens)
    input_tokens = min(plain + cached + written, TOKENS_MAX)
    cached = min(cached, input_tokens)
    output_tokens = draw(_tokens)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=min(written, input_tokens - cached),
        output_tokens=output_tokens,
        reasoning_tokens=draw(st.integers(0, output_tokens)),
        requests=draw(_requests),
    )


@given(_rates(), _usages(), _tokens, _tokens, _requests)
@settings(deadline=None)
def test_no_usage_within_the_bounds_costs_more_than_the_hold(
    rates: Rates, usage: Usage, more_input: int, more_output: int, more_requests: int
) -> None:
    """No part of a hold, used in any way, costs more than the hold."""
    bounds = CallBounds(
        input_tokens_max=usage.input_tokens + more_input,
        output_tokens_max=usage.output_tokens + more_output,
        requests_max=usage.requests + more_requests,
    )
    assert rated_cost_nano_usd(rates, usage) <= hold_nano_usd(rates, bounds)


@given(_rates(), _usages(), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 5))
@settings(deadline=None)
def test_more_usage_costs_no_less(
    rates: Rates, usage: Usage, more_input: int, more_output: int, more_requests: int
) -> None:
    """Cost grows with usage."""
    more = dataclasses.replace(
        usage,
        input_tokens=min(usage.input_tokens + more_input, TOKENS_MAX),
        output_tokens=min(usage.output_tokens + more_output, TOKENS_MAX),
        requests=min(usage.requests + more_requests, REQUESTS_MAX),
    )
    assert rated_cost_nano_usd(rates, more) >= rated_cost_nano_usd(rates, usage)


@given(_rates(), st.integers(0, 10**15), _tokens, _requests, _tokens)
@settings(deadline=None)
def test_what_fits_fits_and_one_more_does_not(
    rates: Rates, available: int, input_tokens: int, requests: int, wanted: int
) -> None:
    """The hold of the tokens that fit is within the available amount; with one token more it is not."""

    bounds = CallBounds(input_tokens_max=input_tokens, output_tokens_max=wanted, requests_max=requests)

    def hold(output_tokens: int) -> int:
        return hold_nano_usd(rates, dataclasses.replace(bounds, output_tokens_max=output_tokens))

    fits = output_tokens_that_fit(rates, available, bounds)
    if fits is None:
        assert hold(0) > available
    else:
        assert hold(fits) <= available
        assert fits == wanted or hold(fits + 1) > available
