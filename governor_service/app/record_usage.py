"""RecordUsage: a charge with no hold."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.ledger import LedgerEntry
from governor_service.domain.postings import PostingAnswer, PostingOutcome, RecordRequest
from governor_service.store import postings
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal, invalid_field


async def record_usage(database: Database, request: RecordRequest) -> LedgerEntry:
    """Posts the cost of past usage, even beyond a limit, once for each request_id."""

    async def work(connection: Connection) -> LedgerEntry:
        answer = await postings.record_usage(connection, request)
        match answer:
            case PostingAnswer(
                outcome=PostingOutcome.RECORDED | PostingOutcome.REPLAYED, entry=LedgerEntry() as entry
            ):
                return entry
            case _:
                # Raised within the transaction, which it rolls back.
                raise _refusal(request, answer.outcome)

    return await database.write(work)


def _refusal(request: RecordRequest, outcome: PostingOutcome) -> Refusal:
    match outcome:
        case PostingOutcome.REQUEST_ID_REUSED:
            return errors.request_id_reused()
        case PostingOutcome.OCCURRED_IN_FUTURE:
            return invalid_field("occurred_time", "is in the future")
        case PostingOutcome.OCCURRED_TOO_LONG_AGO:
            return invalid_field("occurred_time", "is more than 400 days back")
        case PostingOutcome.MODEL_NOT_PRICED:
            return errors.model_not_priced(request.served_model.general_name)
        case PostingOutcome.COST_TOO_LARGE:
            return errors.cost_too_large()
        case PostingOutcome.TOTAL_TOO_LARGE:
            return errors.total_too_large("usage")
        case _:
            raise AssertionError(outcome)
