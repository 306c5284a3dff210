"""The model's vocabulary as messages: requests are built in `requests.py`, answers are read here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from governor_service.domain.pricing import Rate, Rates
from governor_service.domain.usage import Usage
from infin8.governor.v1 import authorization_pb2, budget_pb2, entry_pb2, errors_pb2, price_pb2
from infin8.governor.v1 import budget_service_pb2 as budgets
from infin8.governor.v1 import governor_service_pb2 as governor
from infin8.governor.v1 import pricing_service_pb2 as pricing
from service_chassis.refusal import Refusal
from tests.property.budget_keys import of_answer
from tests.property.names import NOBODY
from tests.property.operations import (
    Answer,
    Checked,
    Entry,
    EntryName,
    Held,
    HoldName,
    HoldSeen,
    ModelAlias,
    Operation,
    Price,
    Refused,
    SetFreeze,
    SetOrganization,
    SetTier,
    Settled,
    Status,
    Swept,
)
from tests.property.requests import Requests


class Wire(Requests):
    """Converts answers to the model's vocabulary."""

    def answer(self, answer: Any, operation: Operation) -> Answer:
        """The answer or refusal in the model's vocabulary."""
        match answer:
            case authorization_pb2.Authorization():
                return Held(self.hold(answer), self._statuses(answer.budgets), answer.replayed)
            case governor.CheckBudgetResponse():
                denial = None
                if not answer.allowed:
                    denial = errors_pb2.ErrorReason.Name(answer.denial_reason).removeprefix("ERROR_REASON_")
                return Checked(
                    denial,
                    self.own(answer.model),
                    answer.output_tokens_max,
                    answer.estimated_nano_usd,
                    self._statuses(answer.budgets),
                )
            case governor.Settlement():
                return Settled(
                    self.entry(answer.entry),
                    answer.released_nano_usd,
                    self._statuses(answer.budgets),
                    answer.replayed,
                )
            case entry_pb2.LedgerEntry():
                return self.entry(answer)
            case price_pb2.Price():
                return self._price(answer)
            case budget_pb2.BudgetStatus():
                return self._status(answer)
            case budgets.Tier():
                return SetTier(
                    None,
                    self.own(answer.tier),
                    _optional(answer, "workflow_limit_nano_usd"),
                    _optional(answer, "monthly_quota_nano_usd"),
                    tuple(self.own(model) for model in answer.allowed_models),
                    _optional(answer, "downgrade_threshold_percent"),
                    _basis(answer.cost_basis),
                )
            case pricing.ModelAlias():
                return ModelAlias(self.own(answer.alias), self.own(answer.model), _time(answer.update_time))
            case budgets.Organization():
                return SetOrganization(
                    None,
                    self.organizations.index(UUID(answer.organization_id)),
                    self.own(answer.tier),
                    _optional(answer, "workflow_limit_nano_usd"),
                    _optional(answer, "monthly_quota_nano_usd"),
                    _basis(answer.cost_basis),
                )
            case budgets.Freeze():
                target = answer.WhichOneof("target")
                organization = model = None
                if target == "organization_id":
                    organization = self.organizations.index(UUID(answer.organization_id))
                elif target == "model":
                    model = self.own(answer.model)
                return SetFreeze(None, organization, model, answer.frozen)
            case Refusal():
                return self._refused(answer, getattr(operation, "organization", NOBODY))
            case Swept():
                return answer
        raise AssertionError((operation, answer))

    def _refused(self, refusal: Refusal, organization: int) -> Refused:
        details: dict[str, str | int] = {}
        metadata = refusal.metadata
        for violation in refusal.fields:
            details["field"] = violation.field
        if "state" in metadata:
            details["state"] = metadata["state"]
            details["hold"] = self.named("hold", metadata["authorization_id"], organization).request
        if "entry_id" in metadata:
            details["entry"] = self.named("entry", metadata["entry_id"], organization).sequence
        if "model" in metadata:
            details["model"] = self.own(metadata["model"])
        if "requested_nano_usd" in metadata:
            details["requested_nano_usd"] = int(metadata["requested_nano_usd"])
            limit, spent, held = (
                int(metadata.get(f"{name}_nano_usd", default))
                for name, default in (("limit", -1), ("spent", 0), ("held", 0))
            )
            details["tightest_nano_usd"] = max(0, limit - spent - held) if limit >= 0 else -1
            for quota in refusal.quotas:
                scope, _, subject = quota.subject.partition(":")
                name = f"quota {scope}:{self.named('workflow', subject) if scope == 'WORKFLOW' else subject}"
                details[name] = int(details.get(name, 0)) + 1
        return Refused(refusal.reason, frozenset(details.items()))

    def hold(self, seen: authorization_pb2.Authorization) -> HoldSeen:
        organization = self.organizations.index(UUID(seen.organization_id))
        request = self.request(seen.request_id)
        assert self.named("hold", seen.authorization_id, organization) == HoldName(organization, request)
        assert bool(seen.downgrade_reason) == seen.downgraded
        on_expiry = authorization_pb2.ExpiryAction.Name(seen.on_expiry).removeprefix("EXPIRY_ACTION_")
        return HoldSeen(
            organization,
            request,
            self.named("workflow", seen.workflow_id) if seen.workflow_id else None,
            authorization_pb2.AuthorizationState.Name(seen.state).removeprefix("AUTHORIZATION_STATE_"),
            self.own(seen.model),
            seen.input_tokens_max,
            seen.output_tokens_max,
            seen.requests_max,
            seen.held_nano_usd,
            self._price(seen.price) if seen.HasField("price") else None,
            seen.downgraded,
            None if on_expiry == "UNSPECIFIED" else on_expiry,
            tuple(sorted(seen.labels.items())),
            _month(seen.period_start) if seen.HasField("period_start") else None,
            _time(seen.create_time),
            _time(seen.expire_time),
            self.named("entry", seen.entry_id, organization).sequence if seen.entry_id else None,
            _optional(seen, "cache_write_tokens_max"),
            _optional(seen, "cache_write_1h_tokens_max"),
            tuple(sorted(seen.other_units_max.items())),
            tuple(sorted(seen.price_context.items())),
        )

    def entry(self, seen: entry_pb2.LedgerEntry) -> Entry:
        organization = self.organizations.index(UUID(seen.organization_id))
        assert self.named("entry", seen.entry_id, organization) == EntryName(organization, seen.sequence)
        assert seen.idempotency_key == seen.entry_id
        if seen.authorization_id and not seen.adjusts_entry_id:
            assert seen.entry_id == seen.authorization_id
        usage = seen.usage
        return Entry(
            organization,
            seen.sequence,
            entry_pb2.EntryKind.Name(seen.kind).removeprefix("ENTRY_KIND_"),
            self.named("workflow", seen.workflow_id),
            self.named("hold", seen.authorization_id, organization).request
            if seen.authorization_id
            else None,
            self.own(seen.requested_model),
            self.own(seen.granted_model),
            self.own(seen.served_model),
            Usage(
                input_tokens=usage.input_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                requests=usage.requests,
                other_units=dict(usage.other_units),
            ),
            seen.cost_nano_usd,
            seen.rated_cost_nano_usd,
            _optional(seen, "provider_cost_nano_usd"),
            seen.held_nano_usd,
            seen.overage_nano_usd,
            self.named("price", seen.price_id) if seen.price_id else None,
            frozenset(entry_pb2.EntryFlag.Name(flag).removeprefix("ENTRY_FLAG_") for flag in seen.flags),
            tuple(sorted(seen.labels.items())),
            _month(seen.period_start),
            self.named("entry", seen.adjusts_entry_id, organization).sequence
            if seen.adjusts_entry_id
            else None,
            _time(seen.create_time),
            tuple(sorted(seen.price_context.items())),
            _basis(seen.cost_basis),
        )

    def _price(self, seen: price_pb2.Price) -> Price:
        price = Price(
            self.own(seen.model),
            Rates(
                input_nano_usd_per_mtok=seen.input_nano_usd_per_mtok,
                cached_input_nano_usd_per_mtok=_optional(seen, "cached_input_nano_usd_per_mtok"),
                cache_write_nano_usd_per_mtok=_optional(seen, "cache_write_nano_usd_per_mtok"),
                output_nano_usd_per_mtok=seen.output_nano_usd_per_mtok,
                reasoning_nano_usd_per_mtok=_optional(seen, "reasoning_nano_usd_per_mtok"),
                request_nano_usd=seen.request_nano_usd,
                rates=tuple(
                    Rate(
                        unit=rate.unit,
                        per=rate.per,
                        nano_usd=rate.nano_usd,
                        input_tokens_above=rate.input_tokens_above,
                    )
                    for rate in seen.rates
                ),
            ),
            _time(seen.effective_time),
            tuple(sorted(seen.price_context.items())),
            seen.source,
        )
        self.learn("price", price, seen.price_id)
        return price

    def _statuses(self, seen: Any) -> tuple[Status, ...]:
        """By key. Of the budgets with a limit, the one with the least available binds."""
        limited = [status for status in seen if status.HasField("limit_nano_usd")]
        least = min((status.available_nano_usd for status in limited), default=0)
        assert [status.available_nano_usd for status in seen if status.binding] == [least][: len(limited)]
        return tuple(sorted((self._status(status) for status in seen), key=lambda status: str(status.key)))

    def _status(self, seen: budget_pb2.BudgetStatus) -> Status:
        scope = budget_pb2.BudgetScope.Name(seen.scope).removeprefix("BUDGET_SCOPE_")
        limit = _optional(seen, "limit_nano_usd")
        available = 0 if limit is None else max(0, limit - seen.spent_nano_usd - seen.held_nano_usd)
        assert seen.available_nano_usd == available
        return Status(
            of_answer(
                scope,
                str(self.named("workflow", seen.subject)) if scope == "WORKFLOW" else seen.subject,
                budget_pb2.BudgetPeriod.Name(seen.period).removeprefix("BUDGET_PERIOD_"),
                _time(seen.period_start) if seen.HasField("period_start") else None,
            ),
            limit,
            seen.spent_nano_usd,
            seen.held_nano_usd,
            seen.unguarded_nano_usd,
        )


def _optional(message: Message, field: str) -> int | None:
    return getattr(message, field) if message.HasField(field) else None


def _basis(value: price_pb2.CostBasis.ValueType) -> str | None:
    name = price_pb2.CostBasis.Name(value).removeprefix("COST_BASIS_")
    return None if name == "UNSPECIFIED" else name


def _time(message: Timestamp) -> datetime:
    return message.ToDatetime(UTC)


def _month(message: Timestamp) -> str:
    start = _time(message)
    assert start == datetime(start.year, start.month, 1, tzinfo=UTC)
    return f"{start:%Y-%m}"
