"""Requests → domain.

Each function checks all that a message alone can be checked for, and raises a Refusal that names the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from google.protobuf.message import Message

from governor_service.api.prices import model_id
from governor_service.domain import authorization as holds
from governor_service.domain.authorization import (
    Authorization,
    AuthorizationFilter,
    AuthorizationState,
    ExpiryAction,
    HoldRequest,
    PlannedCall,
    authorization_id_of,
)
from governor_service.domain.budgets import LIMIT_NANO_USD_MAX, BudgetName, BudgetPeriod, BudgetScope
from governor_service.domain.ledger import EntryFilter, EntryFlag, EntryKind, SettleRequest
from governor_service.domain.model_names import canonical_model
from governor_service.domain.money import ENTRY_COST_NANO_USD_MAX
from governor_service.domain.pricing import REQUESTS_MAX, TOKENS_MAX, Usage
from infin8.governor.v1 import authorization_pb2, budget_pb2, budget_service_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields

REASON_LENGTH_MAX = 1024
GENERATION_ID_LENGTH_MAX = 200
_HOLD_DURATION_MIN = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS_MAX = 10**17


@lru_cache(maxsize=4096)
def model(path: str, value: str) -> str:
    """The canonical id of a model."""
    canonical = canonical_model(model_id(path, value)).model
    if not canonical:
        raise invalid_field(path, "is not a model id")
    return canonical


def candidates(path: str, values: Sequence[str]) -> tuple[str, ...]:
    """Canonical and distinct, in order of preference."""
    if not values:
        raise invalid_field(path, "needs at least one model")
    if len(values) > holds.CANDIDATES_MAX:
        raise invalid_field(path, f"has more than {holds.CANDIDATES_MAX} models")
    return tuple(dict.fromkeys(model(f"{path}[{place}]", value) for place, value in enumerate(values)))


def planned_call(request: governor_pb2.AuthorizeRequest | governor_pb2.CheckBudgetRequest) -> PlannedCall:
    """What Authorize and CheckBudget have in common."""
    output_tokens_max = fields.integer(
        "output_tokens_max", request.output_tokens_max, minimum=1, maximum=TOKENS_MAX
    )
    output_tokens_min = None
    if request.HasField("output_tokens_min"):
        output_tokens_min = fields.integer(
            "output_tokens_min", request.output_tokens_min, minimum=1, maximum=TOKENS_MAX
        )
        if output_tokens_min > output_tokens_max:
            raise invalid_field("output_tokens_min", "is above output_tokens_max")
    requests_max = 1
    if request.HasField("requests_max"):
        requests_max = fields.integer("requests_max", request.requests_max, minimum=1, maximum=REQUESTS_MAX)
    return PlannedCall(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        workflow_id=fields.required_uuid("workflow_id", request.workflow_id),
        models=candidates("models", request.models),
        input_tokens_max=fields.integer(
            "input_tokens_max", request.input_tokens_max, minimum=1, maximum=TOKENS_MAX
        ),
        output_tokens_max=output_tokens_max,
        output_tokens_min=output_tokens_min,
        requests_max=requests_max,
        labels=fields.labels("labels", request.labels),
    )


def hold_terms(
    request: governor_pb2.AuthorizeRequest | governor_pb2.CheckBudgetRequest,
) -> tuple[timedelta, ExpiryAction]:
    """How long a hold lasts and what becomes of it if nobody ends it."""
    duration = fields.duration(
        "hold_duration",
        request,
        "hold_duration",
        minimum=_HOLD_DURATION_MIN,
        maximum=holds.HOLD_DURATION_MAX,
    )
    on_expiry = ExpiryAction.RELEASE
    if request.on_expiry:
        on_expiry = ExpiryAction(
            fields.enum_name("on_expiry", request.on_expiry, authorization_pb2.ExpiryAction, "EXPIRY_ACTION_")
        )
    return duration or holds.HOLD_DURATION_DEFAULT, on_expiry


def hold_request(request: governor_pb2.AuthorizeRequest) -> HoldRequest:
    """A request for a hold."""
    call = planned_call(request)
    hold_duration, on_expiry = hold_terms(request)
    return HoldRequest(
        request_id=fields.required_uuid("request_id", request.request_id),
        content_hash=fields.content_hash(request),
        call=call,
        hold_duration=hold_duration,
        on_expiry=on_expiry,
    )


def usage(path: str, sent: entry_pb2.Usage) -> Usage:
    """Parts never exceed their totals."""
    for name in ("input", "cached_input", "cache_write", "output", "reasoning"):
        fields.integer(
            f"{path}.{name}_tokens", getattr(sent, f"{name}_tokens"), minimum=0, maximum=TOKENS_MAX
        )
    fields.integer(f"{path}.requests", sent.requests, minimum=0, maximum=REQUESTS_MAX)
    if sent.cached_input_tokens > sent.input_tokens:
        raise invalid_field(f"{path}.cached_input_tokens", "is above input_tokens")
    if sent.cached_input_tokens + sent.cache_write_tokens > sent.input_tokens:
        raise invalid_field(f"{path}.cache_write_tokens", "is, with cached_input_tokens, above input_tokens")
    if sent.reasoning_tokens > sent.output_tokens:
        raise invalid_field(f"{path}.reasoning_tokens", "is above output_tokens")
    return Usage(
        input_tokens=sent.input_tokens,
        cached_input_tokens=sent.cached_input_tokens,
        cache_write_tokens=sent.cache_write_tokens,
        output_tokens=sent.output_tokens,
        reasoning_tokens=sent.reasoning_tokens,
        requests=sent.requests,
    )


def settle_request(request: governor_pb2.SettleRequest, *, author: str) -> SettleRequest:
    """What a call used, or that nobody knows."""
    organization_id = fields.required_uuid("organization_id", request.organization_id)
    authorization_id = fields.required_uuid("authorization_id", request.authorization_id)
    outcome = request.WhichOneof("outcome")
    if outcome is None:
        raise invalid_field("outcome", "needs usage or unknown_outcome")
    provider_cost_nano_usd = None
    if request.HasField("provider_cost_nano_usd"):
        provider_cost_nano_usd = fields.integer(
            "provider_cost_nano_usd",
            request.provider_cost_nano_usd,
            minimum=0,
            maximum=ENTRY_COST_NANO_USD_MAX,
        )
    return SettleRequest(
        organization_id=organization_id,
        authorization_id=authorization_id,
        content_hash=fields.content_hash(request),
        served_model=model("served_model", request.served_model) if request.served_model else "",
        usage=usage("usage", request.usage) if outcome == "usage" else None,
        provider_cost_nano_usd=provider_cost_nano_usd,
        provider_generation_id=fields.text(
            "provider_generation_id",
            request.provider_generation_id,
            max_length=GENERATION_ID_LENGTH_MAX,
            required=False,
        ),
        author=author,
    )


def hold_target(
    request: governor_pb2.VoidRequest | governor_pb2.GetAuthorizationRequest,
) -> tuple[UUID, UUID, UUID | None]:
    """The organization, the hold's id, and the request_id where it was named by that."""
    organization_id = fields.required_uuid("organization_id", request.organization_id)
    match request.WhichOneof("target"):
        case "authorization_id":
            return organization_id, fields.required_uuid("authorization_id", request.authorization_id), None
        case "request_id":
            request_id = fields.required_uuid("request_id", request.request_id)
            return organization_id, authorization_id_of(request_id), request_id
        case _:
            raise invalid_field("authorization_id", "is required, or request_id")


def extension(request: governor_pb2.ExtendRequest) -> tuple[UUID, UUID, datetime]:
    """The organization, the hold and its later expire_time."""
    organization_id = fields.required_uuid("organization_id", request.organization_id)
    authorization_id = fields.required_uuid("authorization_id", request.authorization_id)
    expire_time = fields.timestamp("expire_time", request, "expire_time")
    if expire_time is None:
        raise invalid_field("expire_time", "is required")
    return organization_id, authorization_id, expire_time


def authorization_filter(request: governor_pb2.ListAuthorizationsRequest) -> AuthorizationFilter:
    """Which holds to list."""
    state = None
    if request.state:
        state = AuthorizationState(
            fields.enum_name(
                "state", request.state, authorization_pb2.AuthorizationState, "AUTHORIZATION_STATE_"
            )
        )
    return AuthorizationFilter(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        state=state,
        workflow_id=fields.optional_uuid("workflow_id", request.workflow_id),
        created_before=fields.timestamp("created_before", request, "created_before"),
    )


def after_authorization(page_token: str, scope: str) -> tuple[datetime, UUID]:
    """The creation time and id of the hold that a page begins after; before all of them for the first."""
    match fields.decode_page_token("page_token", page_token, scope=scope):
        case None:
            return datetime.min.replace(tzinfo=UTC), UUID(int=0)
        case [int(microseconds), str(authorization_id)] if 0 <= microseconds < _MICROSECONDS_MAX:
            after = fields.required_uuid("page_token", authorization_id)
            return _EPOCH + timedelta(microseconds=microseconds), after
        case _:
            raise invalid_field("page_token", "is not a page token of this list")


def authorization_page_token(last: Authorization, scope: str) -> str:
    """The token of the page that begins after a hold."""
    microseconds = (last.create_time - _EPOCH) // timedelta(microseconds=1)
    return fields.encode_page_token(scope=scope, position=[microseconds, str(last.authorization_id)])


def month(path: str, message: Message, field: str) -> date | None:
    """The first day of the UTC month that a timestamp falls in; None if it is unset."""
    time = fields.timestamp(path, message, field)
    return time.date().replace(day=1) if time else None


def label(path: str, value: str) -> tuple[str, str]:
    """`key=value`, as the labels of a hold would have it."""
    key, equals, text = value.partition("=")
    if not equals or not key:
        raise invalid_field(path, "is not key=value")
    fields.labels(path, {key: text})
    return key, text


def budget_name(
    request: budget_service_pb2.GetBudgetRequest | budget_service_pb2.SetBudgetRequest,
) -> BudgetName:
    """Which budget. A label's whose period is unset is taken for a month's."""
    scope = BudgetScope(fields.enum_name("scope", request.scope, budget_pb2.BudgetScope, "BUDGET_SCOPE_"))
    subject, period = request.subject, BudgetPeriod.MONTH
    if request.period:
        period = BudgetPeriod(
            fields.enum_name("period", request.period, budget_pb2.BudgetPeriod, "BUDGET_PERIOD_")
        )
    match scope:
        case BudgetScope.ORGANIZATION:
            if subject:
                raise invalid_field("subject", "is empty for an organization's budget")
            if period is not BudgetPeriod.MONTH:
                raise invalid_field("period", "is MONTH for an organization's budget")
        case BudgetScope.WORKFLOW:
            subject = str(fields.required_uuid("subject", subject))
            if request.period == budget_pb2.BUDGET_PERIOD_MONTH:
                raise invalid_field("period", "is LIFETIME for a workflow's budget")
            period = BudgetPeriod.LIFETIME
        case BudgetScope.LABEL:
            label("subject", subject)
    start = month("period_start", request, "period_start")
    if start is not None and period is BudgetPeriod.LIFETIME:
        raise invalid_field("period_start", "is unset for a lifetime")
    return BudgetName(scope=scope, subject=subject, period=period, month=start)


def limit_to_set(request: budget_service_pb2.SetBudgetRequest) -> tuple[BudgetName, int | None]:
    """The budget and its new limit; None: none of its own."""
    name = budget_name(request)
    if name.scope is BudgetScope.LABEL and not request.period:
        raise invalid_field("period", "is required for a label's budget")
    if not request.HasField("limit_nano_usd"):
        return name, None
    return name, fields.integer(
        "limit_nano_usd", request.limit_nano_usd, minimum=0, maximum=LIMIT_NANO_USD_MAX
    )


def entry_filter(request: ledger_pb2.ListEntriesRequest) -> EntryFilter:
    """Which entries to list."""
    kind = flag = label_wanted = None
    if request.kind:
        kind = EntryKind(fields.enum_name("kind", request.kind, entry_pb2.EntryKind, "ENTRY_KIND_"))
    if request.flag:
        flag = EntryFlag(fields.enum_name("flag", request.flag, entry_pb2.EntryFlag, "ENTRY_FLAG_"))
    if request.label:
        label_wanted = dict([label("label", request.label)])
    return EntryFilter(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        workflow_id=fields.optional_uuid("workflow_id", request.workflow_id),
        model=model("model", request.model) if request.model else None,
        kind=kind,
        flag=flag,
        label=label_wanted,
        month=month("period_start", request, "period_start"),
        start_time=fields.timestamp("start_time", request, "start_time"),
        end_time=fields.timestamp("end_time", request, "end_time"),
    )


def after_sequence(page_token: str, scope: str) -> int:
    """The sequence that a page begins after; 0 for the first."""
    match fields.decode_page_token("page_token", page_token, scope=scope):
        case None:
            return 0
        case [int(sequence)]:
            return sequence
        case _:
            raise invalid_field("page_token", "is not a page token of this list")
