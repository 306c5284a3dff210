"""Bounds on the size of the governor's requests. The protos state them too, and a test compares the two."""

from __future__ import annotations

from typing import Final

from governor_service.domain.authorization import CANDIDATES_MAX
from governor_service.domain.organizations import ALLOWED_MODELS_MAX
from governor_service.domain.pricing import OTHER_UNITS_MAX, RATES_MAX
from service_chassis.rpc.admission import MESSAGE_BYTES_MAX
from service_chassis.rpc.bounds import Bounds
from service_chassis.rpc.fields import LABELS_MAX

BATCH_ITEMS_MAX: Final = 1000
_UPDATE_MASK_PATHS_MAX: Final = 10
_EVENT_TYPES_MAX: Final = 50

_GOVERNOR: Final = "infin8.governor.v1"

BOUNDS: Final = Bounds(
    elements={
        f"{_GOVERNOR}.AuthorizeRequest.models": CANDIDATES_MAX,
        f"{_GOVERNOR}.AuthorizeRequest.labels": LABELS_MAX,
        f"{_GOVERNOR}.AuthorizeRequest.other_units_max": OTHER_UNITS_MAX,
        f"{_GOVERNOR}.AuthorizeRequest.price_context": LABELS_MAX,
        f"{_GOVERNOR}.CheckBudgetRequest.models": CANDIDATES_MAX,
        f"{_GOVERNOR}.CheckBudgetRequest.labels": LABELS_MAX,
        f"{_GOVERNOR}.CheckBudgetRequest.other_units_max": OTHER_UNITS_MAX,
        f"{_GOVERNOR}.CheckBudgetRequest.price_context": LABELS_MAX,
        f"{_GOVERNOR}.SettleRequest.price_context": LABELS_MAX,
        f"{_GOVERNOR}.RecordUsageRequest.labels": LABELS_MAX,
        f"{_GOVERNOR}.RecordUsageRequest.price_context": LABELS_MAX,
        f"{_GOVERNOR}.ModelUsage.price_context": LABELS_MAX,
        f"{_GOVERNOR}.Usage.other_units": OTHER_UNITS_MAX,
        f"{_GOVERNOR}.CreatePriceRequest.rates": RATES_MAX,
        f"{_GOVERNOR}.CreatePriceRequest.price_context": LABELS_MAX,
        f"{_GOVERNOR}.BatchAuthorizeRequest.items": BATCH_ITEMS_MAX,
        f"{_GOVERNOR}.BatchSettleRequest.items": BATCH_ITEMS_MAX,
        f"{_GOVERNOR}.Tier.allowed_models": ALLOWED_MODELS_MAX,
        f"{_GOVERNOR}.WatchEventsRequest.types": _EVENT_TYPES_MAX,
        "google.protobuf.FieldMask.paths": _UPDATE_MASK_PATHS_MAX,
    },
    message_bytes={
        f"{_GOVERNOR}.BatchAuthorizeRequest": MESSAGE_BYTES_MAX,
        f"{_GOVERNOR}.BatchSettleRequest": MESSAGE_BYTES_MAX,
        f"{_GOVERNOR}.SetTierRequest": 1024 * 1024,
    },
    items=frozenset({f"{_GOVERNOR}.BatchAuthorizeRequest.items", f"{_GOVERNOR}.BatchSettleRequest.items"}),
)
