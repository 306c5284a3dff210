"""Compares, call by call, the simulator's own record, the journal and the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from tests.acceptance.served_pair import REPOSITORY
from workflow_service.simulator.documents import Call

_VERIFY = (REPOSITORY / "governor_service" / "store" / "verify.sql").read_text()


@dataclass
class Books:
    """`lost`: calls that reached the provider, and whose answer reached nobody."""

    wrong: list[str] = field(default_factory=list)
    calls: int = 0
    settled: int = 0
    voided: int = 0
    unknown: int = 0
    lost: int = 0
    paid_anew: int = 0


async def compare(calls: Sequence[Call], *, workflow_dsn: str, governor_dsn: str) -> Books:
    books = Books(calls=sum(call.generation_id is not None for call in calls))
    workflow = await asyncpg.connect(workflow_dsn)
    governor = await asyncpg.connect(governor_dsn)
    try:
        journal = await workflow.fetch("SELECT * FROM model_invocations ORDER BY create_time")
        totals = await workflow.fetch("SELECT id, total_ai_cost_nano_usd FROM intent_workflows")
        holds = await governor.fetch("SELECT * FROM authorizations")
        entries = await governor.fetch(
            "SELECT authorization_id, sum(cost_nano_usd)::bigint AS cost_nano_usd, "
            "count(*) FILTER (WHERE kind IN ('USAGE', 'UNKNOWN')) AS first "
            "FROM ai_usage_ledger GROUP BY authorization_id"
        )
        violations = await governor.fetch(_VERIFY)
    finally:
        await workflow.close()
        await governor.close()
    books.wrong += [f"verify.sql: {dict(row)}" for row in violations]
    _compare_ledger(books, journal, holds, entries)
    _compare_provider(books, journal, calls)
    _compare_items(books, journal)
    costs: defaultdict[object, int] = defaultdict(int)
    for row in journal:
        costs[row["workflow_id"]] += row["cost_nano_usd"] or 0
    books.wrong += [
        f"workflow {row['id']} says {row['total_ai_cost_nano_usd']}, its calls {costs[row['id']]}"
        for row in totals
        if row["total_ai_cost_nano_usd"] != costs[row["id"]]
    ]
    return books


def _compare_ledger(
    books: Books,
    journal: Sequence[asyncpg.Record],
    holds: Sequence[asyncpg.Record],
    entries: Sequence[asyncpg.Record],
) -> None:
    entry_of = {row["authorization_id"]: row for row in entries}
    row_of = {row["request_id"]: row for row in journal}
    for row in journal:
        call = f"call {row['step']} {row['item']!r} {row['attempt']} of {row['workflow_id']}"
        if row["state"] == "SETTLED":
            books.settled += 1
            entry = entry_of.get(row["authorization_id"])
            if entry is None or (entry["cost_nano_usd"], entry["first"]) != (row["cost_nano_usd"], 1):
                books.wrong.append(f"{call}: the journal has {row['cost_nano_usd']}, the ledger {entry}")
        elif row["state"] == "VOIDED":
            books.voided += 1
            if row["authorization_id"] in entry_of:
                books.wrong.append(f"{call} is VOIDED and has an entry")
        else:
            books.wrong.append(f"{call} is left {row['state']}")
    for hold in holds:
        if hold["state"] == "PENDING":
            books.wrong.append(f"hold {hold['authorization_id']} is left")
        if hold["request_id"] not in row_of:
            books.wrong.append(f"hold {hold['authorization_id']} is not in the journal")


def _compare_provider(books: Books, journal: Sequence[asyncpg.Record], calls: Sequence[Call]) -> None:
    told = defaultdict(list)
    for row in journal:
        if row["generation_id"] is not None:
            told[row["generation_id"]].append(row)
    unknown: Counter[str] = Counter()
    for row in journal:
        if row["state"] == "SETTLED" and row["input_tokens"] is None:
            books.unknown += 1
            unknown[row["step"]] += 1
    lost: Counter[str] = Counter()
    for call in calls:
        if call.generation_id is None:
            continue
        rows = told.pop(call.generation_id, [])
        if not rows:
            books.lost += 1
            lost[(call.step or "").upper()] += 1
        elif len(rows) > 1 or rows[0]["provider_cost_nano_usd"] != call.billed_nano_usd:
            books.wrong.append(f"the provider's call {call} is in the journal as {rows}")
    books.wrong += [f"the journal has a call that the provider does not know: {name}" for name in told]
    books.wrong += [
        f"{count} answers of {step} were lost, and {unknown[step]} of its calls are settled as unknown"
        for step, count in lost.items()
        if count > unknown[step]
    ]


def _compare_items(books: Books, journal: Sequence[asyncpg.Record]) -> None:
    """One answer is used and paid for; a further call is paid for only after one whose answer was lost.

    The usage of such a call may be known all the same, from the provider's record.
    """
    items = defaultdict(list)
    for row in journal:
        if row["state"] == "SETTLED":
            items[row["workflow_id"], row["step"], row["item"]].append(row)
    for item, rows in items.items():
        answered = [row for row in rows if row["answer"] is not None]
        without_answer = [row for row in rows if row["answer"] is None]
        if len(answered) != 1:
            books.wrong.append(f"{item} was answered {len(answered)} times")
        if any(
            row["input_tokens"] is not None and row["error_class"] != "LEASE_EXPIRED"
            for row in without_answer
        ):
            books.wrong.append(f"{item} has a call with usage and without an answer")
        books.paid_anew += bool(without_answer)
