"""infin8.governor.v1.PricingService."""

from typing import Any

import grpc

from governor_service.api import parse
from governor_service.api.estimates import month_estimate, usage_estimate
from governor_service.api.governor_servicer import ANONYMOUS
from governor_service.api.prices import MODEL_LENGTH_MAX, effective_time, listing, model_id, price_message
from governor_service.app.create_price import create_price
from governor_service.app.estimate_cost import estimate_month, estimate_usage
from governor_service.app.list_prices import get_price, get_price_of_model, list_prices
from governor_service.app.resolve_model import resolve_model
from infin8.governor.v1 import price_pb2, pricing_service_pb2, pricing_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields

Context = grpc.aio.ServicerContext[Any, Any]


class PricingServicer(pricing_service_pb2_grpc.PricingServiceServicer):
    """The price book."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListPrices(
        self, request: pricing_service_pb2.ListPricesRequest, _context: Context
    ) -> pricing_service_pb2.ListPricesResponse:
        at_time = fields.timestamp("at_time", request, "at_time")
        prefix = fields.text(
            "model_prefix", request.model_prefix, max_length=MODEL_LENGTH_MAX, required=False
        )
        page_size = fields.page_size("page_size", request.page_size)
        scope = f"ListPrices {at_time} {prefix}"
        position = fields.decode_page_token("page_token", request.page_token, scope=scope)

        prices, more = await list_prices(
            self._database,
            at_time,
            model_prefix=prefix,
            after_model=str(position[0]) if position else "",
            page_size=page_size,
        )
        return pricing_service_pb2.ListPricesResponse(
            prices=[price_message(price) for price in prices],
            next_page_token=fields.encode_page_token(scope=scope, position=[prices[-1].model])
            if more
            else "",
        )

    async def GetPrice(
        self, request: pricing_service_pb2.GetPriceRequest, _context: Context
    ) -> price_pb2.Price:
        at_time = fields.timestamp("at_time", request, "at_time")
        match request.WhichOneof("target"):
            case "model":
                price = await get_price_of_model(self._database, model_id("model", request.model), at_time)
            case "price_id":
                price = await get_price(self._database, fields.required_uuid("price_id", request.price_id))
            case _:
                raise invalid_field("target", "model or price_id is required")
        return price_message(price)

    async def CreatePrice(
        self, request: pricing_service_pb2.CreatePriceRequest, _context: Context
    ) -> price_pb2.Price:
        price = await create_price(
            self._database,
            listing(request),
            effective_time=effective_time(request),
            author=ANONYMOUS,
            request_id=fields.optional_uuid("request_id", request.request_id),
            content_hash=fields.content_hash(request),
        )
        return price_message(price)

    async def ResolveModel(
        self, request: pricing_service_pb2.ResolveModelRequest, _context: Context
    ) -> pricing_service_pb2.ResolveModelResponse:
        resolution, price = await resolve_model(self._database, model_id("model", request.model))
        return pricing_service_pb2.ResolveModelResponse(
            model=resolution.model,
            steps=resolution.steps,
            priced=price is not None,
            price=price_message(price) if price else None,
        )

    async def EstimateCost(
        self, request: pricing_service_pb2.EstimateCostRequest, _context: Context
    ) -> pricing_service_pb2.EstimateCostResponse:
        at_time = fields.timestamp("at_time", request, "at_time")
        if request.WhichOneof("basis") == "usage":
            fields.optional_uuid("organization_id", request.organization_id)
            model = parse.model("usage.model", request.usage.model)
            usage = parse.usage("usage.usage", request.usage.usage)
            return usage_estimate(await estimate_usage(self._database, model, usage, at_time))
        organization_id = fields.required_uuid("organization_id", request.organization_id)
        month = parse.month("period_start", request, "period_start")
        if month is None:
            raise invalid_field("basis", "usage or period_start is required")
        return month_estimate(await estimate_month(self._database, organization_id, month, at_time))
