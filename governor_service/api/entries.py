"""Entries: requests → domain."""

from __future__ import annotations

from governor_service.api import parse
from governor_service.domain.ledger import EntryFilter, EntryFlag, EntryKind
from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.rpc.fields import Fields


def entry_filter(fields: Fields, request: ledger_pb2.ListEntriesRequest) -> EntryFilter:
    """The filter of ListEntries."""
    return EntryFilter(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        workflow_id=fields.optional_uuid("workflow_id", request.workflow_id),
        model=parse.model(fields, "model", request.model) if request.model else None,
        kind=fields.optional_enum("kind", request.kind, entry_pb2.EntryKind, "ENTRY_KIND_", EntryKind),
        flag=fields.optional_enum("flag", request.flag, entry_pb2.EntryFlag, "ENTRY_FLAG_", EntryFlag),
        label=dict([parse.label(fields, "label", request.label)]) if request.label else None,
        month=parse.month(fields, "period_start", request, "period_start"),
        start_time=fields.timestamp("start_time", request, "start_time"),
        end_time=fields.timestamp("end_time", request, "end_time"),
    )
