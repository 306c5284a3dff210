"""Adjust: corrects an entry by posting a new one."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.ledger import LedgerEntry
from governor_service.domain.postings import AdjustRequest, PostingAnswer, PostingOutcome
from governor_service.store import postings
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal, invalid_field


async def adjust(database: Database, request: AdjustRequest) -> LedgerEntry:
    """Posts what an entry and its adjustments lack to the corrected cost, once for each request_id.

    If they lack nothing, nothing is posted, and the entry or its newest adjustment is returned.
    """

    async def work(connection: Connection) -> LedgerEntry:
        answer = await postings.adjust_entry(connection, request)
        match answer:
            case PostingAnswer(
                outcome=PostingOutcome.ADJUSTED | PostingOutcome.REPLAYED | PostingOutcome.UNCHANGED,
                entry=LedgerEntry() as entry,
            ):
                return entry
            case _:
                raise _refusal(answer.outcome)

    return await database.write(work)


def _refusal(outcome: PostingOutcome) -> Refusal:
    match outcome:
        case PostingOutcome.REQUEST_ID_REUSED:
            return errors.request_id_reused()
        case PostingOutcome.ENTRY_NOT_FOUND:
            return errors.entry_not_found()
        case PostingOutcome.ENTRY_IS_ADJUSTMENT:
            return invalid_field("entry_id", "is an adjustment: correct the entry that it adjusts")
        case PostingOutcome.TOTAL_TOO_LARGE:
            return errors.total_too_large("corrected_cost_nano_usd")
        case _:
            raise AssertionError(outcome)
