"""infin8.governor.v1.PricingService."""

from typing import Any

import grpc

from governor_service.api import parse, render
from governor_service.api.estimates import month_estimate, usage_estimate
from governor_service.api.governor_servicer import ANONYMOUS
from governor_service.api.model_aliases import alias, alias_message, why
from governor_service.api.prices import effective_time, listing, price_content_hash, price_message
from governor_service.app.create_price import create_price
from governor_service.app.estimate_cost import estimate_month, estimate_usage
from governor_service.app.list_prices import get_price, get_price_of_model, list_prices
from governor_service.app.model_aliases import list_model_aliases, set_model_alias
from governor_service.app.resolve_model import resolve_model
from governor_service.app.watch_price_list import last_price_list_check
from infin8.governor.v1 import price_pb2, pricing_service_pb2, pricing_service_pb2_grpc
from service_chassis.content_hash import content_hash
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import Paging

Context = grpc.aio.ServicerContext[Any, Any]


class PricingServicer(pricing_service_pb2_grpc.PricingServiceServicer):
    """The price book."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListPrices(
        self, request: pricing_service_pb2.ListPricesRequest, _context: Context
    ) -> pricing_service_pb2.ListPricesResponse:
        with Fields() as fields:
            at_time = fields.timestamp("at_time", request, "at_time")
            prefix = fields.text(
                "model_prefix", request.model_prefix, max_length=parse.MODEL_LENGTH_MAX, required=False
            ).lower()
            paging = Paging(fields, request, (str,), scope=[at_time, prefix])
        found = await list_prices(
            self._database,
            at_time,
            model_prefix=prefix,
            after_model=paging.after or "",
            limit=paging.limit,
        )
        check = await last_price_list_check(self._database)
        page = paging.page(found, price_message, lambda price: price.model)
        return pricing_service_pb2.ListPricesResponse(
            prices=page.messages,
            next_page_token=page.next_page_token,
            list_check_time=render.timestamp(check.check_time) if check else None,
            list_source=check.source if check else "",
        )

    async def GetPrice(
        self, request: pricing_service_pb2.GetPriceRequest, _context: Context
    ) -> price_pb2.Price:
        with Fields() as fields:
            at_time = fields.timestamp("at_time", request, "at_time")
            model, price_id = None, None
            match request.WhichOneof("target"):
                case "model":
                    model = parse.model(fields, "model", request.model)
                case "price_id":
                    price_id = fields.required_uuid("price_id", request.price_id)
                case _:
                    fields.invalid("target", "model or price_id is required")
        if model is not None:
            return price_message(await get_price_of_model(self._database, model, {}, at_time))
        assert price_id is not None
        return price_message(await get_price(self._database, price_id))

    async def CreatePrice(
        self, request: pricing_service_pb2.CreatePriceRequest, _context: Context
    ) -> price_pb2.Price:
        with Fields() as fields:
            request_id = fields.optional_uuid("request_id", request.request_id)
            begins = effective_time(fields, request)
            listed, model = listing(fields, request)
        price = await create_price(
            self._database,
            listed,
            model,
            effective_time=begins,
            author=ANONYMOUS,
            request_id=request_id,
            content_hash=price_content_hash(listed, begins),
            allow_unusual=request.allow_unusual,
        )
        return price_message(price)

    async def ResolveModel(
        self, request: pricing_service_pb2.ResolveModelRequest, _context: Context
    ) -> pricing_service_pb2.ResolveModelResponse:
        with Fields() as fields:
            model = parse.model(fields, "model", request.model)
        resolved = await resolve_model(self._database, model)
        price = resolved.price
        return pricing_service_pb2.ResolveModelResponse(
            model=resolved.model,
            steps=why(request.model, resolved),
            priced=price is not None,
            price=price_message(price) if price else None,
            provider=price.provider if price else "",
        )

    async def SetModelAlias(
        self, request: pricing_service_pb2.SetModelAliasRequest, _context: Context
    ) -> pricing_service_pb2.ModelAlias:
        with Fields() as fields:
            name = alias(fields, request.alias)
            model = parse.model(fields, "model", request.model)
            change = parse.change_request(
                fields,
                request,
                author=ANONYMOUS,
                content_hash=content_hash(alias=name, model=model.general_name),
            )
        return alias_message(await set_model_alias(self._database, name, model, change))

    async def DeleteModelAlias(
        self, request: pricing_service_pb2.DeleteModelAliasRequest, _context: Context
    ) -> pricing_service_pb2.ModelAlias:
        with Fields() as fields:
            name = alias(fields, request.alias)
            change = parse.change_request(
                fields, request, author=ANONYMOUS, content_hash=content_hash(alias=name)
            )
        return alias_message(await set_model_alias(self._database, name, None, change))

    async def ListModelAliases(
        self, request: pricing_service_pb2.ListModelAliasesRequest, _context: Context
    ) -> pricing_service_pb2.ListModelAliasesResponse:
        with Fields() as fields:
            paging = Paging(fields, request, (str,), scope=[])
        found = await list_model_aliases(self._database, after_alias=paging.after or "", limit=paging.limit)
        page = paging.page(found, alias_message, lambda each: each.alias)
        return pricing_service_pb2.ListModelAliasesResponse(
            aliases=page.messages, next_page_token=page.next_page_token
        )

    async def EstimateCost(
        self, request: pricing_service_pb2.EstimateCostRequest, _context: Context
    ) -> pricing_service_pb2.EstimateCostResponse:
        if request.WhichOneof("basis") == "usage":
            with Fields() as fields:
                fields.optional_uuid("organization_id", request.organization_id)
                at_time = fields.timestamp("at_time", request, "at_time")
                model = parse.model(fields, "usage.model", request.usage.model)
                price_context = fields.labels("usage.price_context", request.usage.price_context)
                usage = parse.usage(fields, "usage.usage", request.usage.usage)
            return usage_estimate(await estimate_usage(self._database, model, price_context, usage, at_time))
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            at_time = fields.timestamp("at_time", request, "at_time")
            month = parse.month(fields, "period_start", request, "period_start")
            if month is None:
                fields.invalid("basis", "usage or period_start is required")
        assert month is not None
        return month_estimate(await estimate_month(self._database, organization_id, month, at_time))
