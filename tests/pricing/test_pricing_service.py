"""PricingService over a socket: the price book can be read, and bad requests name their faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from governor_service.api.bounds import BOUNDS
from governor_service.api.pricing_servicer import PricingServicer
from governor_service.app.load_price_list import load_price_list
from infin8.governor.v1.pricing_service_pb2 import (
    GetPriceRequest,
    ListPricesRequest,
    ResolveModelRequest,
)
from infin8.governor.v1.pricing_service_pb2_grpc import (
    PricingServiceStub,
    add_PricingServiceServicer_to_server,
)
from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error
from service_chassis.rpc.server import GrpcServer, Service
from service_chassis.settings import DatabaseSettings

if TYPE_CHECKING:
    from infin8.governor.v1.pricing_service_pb2_grpc import (
        PricingServiceAsyncStub,
    )  # defined in the stub file only

DOCUMENT = ["openai/gpt-4o-mini", "perplexity/sonar", "x-ai/grok-4-fast", "z-ai/glm-4.7", "z-ai/glm-5"]


def _time(year: int) -> Timestamp:
    return Timestamp(seconds=int(datetime(year, 1, 1, tzinfo=UTC).timestamp()))


@pytest.fixture
async def stub(governor_dsn: str) -> AsyncIterator[PricingServiceAsyncStub]:
    """A governor with the document's prices, and perplexity/sonar at twice its price from 2100 on."""
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="test")
    await load_price_list(database, "document")
    connection = await asyncpg.connect(governor_dsn)
    await connection.execute("""
        INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok,
            output_nano_usd_per_mtok, request_nano_usd, source, author)
        VALUES ('perplexity/sonar', '2100-01-01Z', 2000000000, 0, 4000000000, 12000000, 'test', 'test')
    """)
    await connection.close()
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        services=[
            Service(
                full_name="infin8.governor.v1.PricingService",
                register=lambda server: add_PricingServiceServicer_to_server(
                    PricingServicer(database), server
                ),
                bounds=BOUNDS,
            )
        ],
        error_domain="governor.infin8",
    )
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield PricingServiceStub(channel)
    await server.stop(grace_seconds=1)
    await database.close()


async def _refused(call: grpc.aio.UnaryUnaryCall[Any, Any]) -> tuple[grpc.StatusCode, Refusal]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    refusal = from_rpc_error(caught.value, domain="governor.infin8")
    assert refusal is not None
    return caught.value.code(), refusal


async def test_list_prices(stub: PricingServiceAsyncStub) -> None:
    """Each model's present price, in order of model."""
    response = await stub.ListPrices(ListPricesRequest())
    assert [price.model for price in response.prices] == DOCUMENT
    assert not response.next_page_token
    sonar = response.prices[1]
    assert sonar.input_nano_usd_per_mtok == 1_000_000_000
    assert sonar.output_nano_usd_per_mtok == 2_000_000_000
    assert sonar.request_nano_usd == 0
    assert not sonar.HasField("cached_input_nano_usd_per_mtok")
    assert (sonar.source, sonar.author) == ("the document", "price list document")
    assert sonar.effective_time == _time(2000)


async def test_list_prices_at_a_time(stub: PricingServiceAsyncStub) -> None:
    """The versions of that time; a component of zero differs from an unset one; case does not matter."""
    response = await stub.ListPrices(ListPricesRequest(at_time=_time(2100), model_prefix="Perplexity/"))
    (sonar,) = response.prices
    assert sonar.input_nano_usd_per_mtok == 2_000_000_000
    assert sonar.request_nano_usd == 12_000_000
    assert sonar.HasField("cached_input_nano_usd_per_mtok")
    assert sonar.cached_input_nano_usd_per_mtok == 0


async def test_list_prices_in_pages(stub: PricingServiceAsyncStub) -> None:
    """Pages have every model once, in order, and the last page has no token."""
    seen: list[str] = []
    token = ""
    for size in (2, 2, 1):
        response = await stub.ListPrices(ListPricesRequest(page_size=2, page_token=token))
        seen += [price.model for price in response.prices]
        token = response.next_page_token
        assert len(response.prices) == size
    assert not token
    assert seen == DOCUMENT


async def test_list_prices_by_prefix(stub: PricingServiceAsyncStub) -> None:
    """Only models with that prefix are listed; SQL's wildcards are ordinary characters."""
    found = await stub.ListPrices(ListPricesRequest(model_prefix="z-ai/"))
    assert [price.model for price in found.prices] == ["z-ai/glm-4.7", "z-ai/glm-5"]
    assert not (await stub.ListPrices(ListPricesRequest(model_prefix="z_ai%"))).prices


async def test_a_page_token_of_another_list_is_refused(stub: PricingServiceAsyncStub) -> None:
    """A token is valid only with the filters that it was issued for."""
    first = await stub.ListPrices(ListPricesRequest(page_size=1))
    for request in (
        ListPricesRequest(page_size=1, page_token=first.next_page_token, model_prefix="z-ai/"),
        ListPricesRequest(page_size=1, page_token=first.next_page_token, at_time=_time(2100)),
        ListPricesRequest(page_size=1, page_token="nonsense"),
    ):
        code, refusal = await _refused(stub.ListPrices(request))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert [violation.field for violation in refusal.fields] == ["page_token"]


async def test_get_price_by_any_name(stub: PricingServiceAsyncStub) -> None:
    """A price is found by every variant of the model's id, and by its own id at any time."""
    price = await stub.GetPrice(GetPriceRequest(model="openai/gpt-4o-mini"))
    assert price.input_nano_usd_per_mtok == 150_000_000
    for variant in ("openai/gpt-4o-mini-2024-07-18", "OpenAI/GPT-4o-mini:free@azure", "gpt-4o-mini"):
        assert await stub.GetPrice(GetPriceRequest(model=variant)) == price
    assert await stub.GetPrice(GetPriceRequest(price_id=price.price_id.upper())) == price

    later = await stub.GetPrice(GetPriceRequest(model="perplexity/sonar", at_time=_time(2101)))
    assert later.output_nano_usd_per_mtok == 4_000_000_000
    assert await stub.GetPrice(GetPriceRequest(price_id=later.price_id, at_time=_time(2001))) == later


async def test_unpriced_model(stub: PricingServiceAsyncStub) -> None:
    """A model without a price is NOT_FOUND / MODEL_NOT_PRICED, with its canonical name."""
    code, refusal = await _refused(stub.GetPrice(GetPriceRequest(model="vendor/Unheard-of:free")))
    assert (code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_PRICED")
    assert refusal.metadata == {"model": "vendor/unheard-of"}


async def test_unknown_price(stub: PricingServiceAsyncStub) -> None:
    """An unknown price id is NOT_FOUND / PRICE_NOT_FOUND."""
    unknown = GetPriceRequest(price_id="5d0dbd2e-6f2f-4bb3-9d0c-2f5ab0a6cf5f")
    code, refusal = await _refused(stub.GetPrice(unknown))
    assert (code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "PRICE_NOT_FOUND")


async def test_resolve_model(stub: PricingServiceAsyncStub) -> None:
    """The canonical name of an id, the steps to it, and whether it has a price."""
    resolved = await stub.ResolveModel(ResolveModelRequest(model="z-ai/GLM-4.7-20251222:free@novita"))
    assert resolved.model == "z-ai/glm-4.7"
    assert list(resolved.steps) == ["case", "provider @novita", "variant :free", "date -20251222"]
    assert resolved.priced
    assert resolved.price.model == "z-ai/glm-4.7"

    unpriced = await stub.ResolveModel(ResolveModelRequest(model="vendor/unheard-of"))
    assert (unpriced.model, list(unpriced.steps), unpriced.priced) == ("vendor/unheard-of", [], False)
    assert not unpriced.HasField("price")


@pytest.mark.parametrize("model", ["", "a b", " a", "a\tb", "a\x00b", "a\u202eb", "a\u2003b", "m" * 201])
async def test_an_invalid_model_id(stub: PricingServiceAsyncStub, model: str) -> None:
    """An id that is empty, too long or has white space, control or bidi characters is INVALID_FIELD."""
    for call in (
        stub.GetPrice(GetPriceRequest(model=model)),
        stub.ResolveModel(ResolveModelRequest(model=model)),
    ):
        code, refusal = await _refused(call)
        assert (code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert [violation.field for violation in refusal.fields] == ["model"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (GetPriceRequest(), "target"),
        (GetPriceRequest(price_id=""), "price_id"),
        (GetPriceRequest(price_id="{5d0dbd2e-6f2f-4bb3-9d0c-2f5ab0a6cf5f}"), "price_id"),
        (GetPriceRequest(price_id="00000000-0000-0000-0000-000000000000"), "price_id"),
        (GetPriceRequest(model="a/b", at_time=_time(1999)), "at_time"),
        (GetPriceRequest(model="a/b", at_time=Timestamp(seconds=946684800, nanos=-1)), "at_time"),
    ],
)
async def test_bad_get_price(stub: PricingServiceAsyncStub, request_: GetPriceRequest, field: str) -> None:
    """A bad field is INVALID_FIELD with its path."""
    code, refusal = await _refused(stub.GetPrice(request_))
    assert (code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in refusal.fields] == [field]


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (ListPricesRequest(page_size=-1), grpc.StatusCode.INVALID_ARGUMENT, "page_size"),
        (ListPricesRequest(page_size=1001), grpc.StatusCode.OUT_OF_RANGE, "page_size"),
        (ListPricesRequest(model_prefix="a\x00"), grpc.StatusCode.INVALID_ARGUMENT, "model_prefix"),
        (ListPricesRequest(model_prefix="m" * 201), grpc.StatusCode.INVALID_ARGUMENT, "model_prefix"),
        (ListPricesRequest(at_time=_time(1990)), grpc.StatusCode.INVALID_ARGUMENT, "at_time"),
    ],
)
async def test_bad_list_prices(
    stub: PricingServiceAsyncStub, request_: ListPricesRequest, code: grpc.StatusCode, field: str
) -> None:
    """A bad field is refused with its path."""
    answered, refusal = await _refused(stub.ListPrices(request_))
    assert answered is code
    assert [violation.field for violation in refusal.fields] == [field]
