"""The state of a program's organizations, in the database and in the model, compared after each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from tests.property.books import Account
from tests.property.budget_keys import BudgetKey
from tests.property.model import Model
from tests.property.names import NOBODY
from tests.property.operations import EntryName, HoldName
from tests.property.wire import Wire

# One statement, since it runs after each step. $1: the organizations, $2: the prefix of a program's names.
QUERY = """
SELECT 'hold' AS kind, organization_id, request_id::text AS name, authorization_id::text AS id, state AS word,
    ARRAY[held_nano_usd::bigint] AS figures, expire_time
FROM authorizations WHERE organization_id = ANY ($1)
UNION ALL
SELECT 'account', organization_id, budget_key, NULL, NULL,
    ARRAY[spent_nano_usd, held_nano_usd, unguarded_nano_usd]::bigint[], NULL
FROM budgets WHERE organization_id = ANY ($1)
UNION ALL
SELECT 'entry', organization_id, sequence::text, id::text, NULL, ARRAY[cost_nano_usd]::bigint[], NULL
FROM ai_usage_ledger WHERE organization_id = ANY ($1)
UNION ALL
SELECT 'limit', organization_id, budget_key, NULL, NULL, ARRAY[limit_nano_usd]::bigint[], NULL
FROM budget_limits WHERE organization_id = ANY ($1)
UNION ALL
SELECT 'terms', organization_id, tier, NULL, cost_basis,
    ARRAY[workflow_limit_nano_usd, monthly_quota_nano_usd]::bigint[], NULL
FROM organizations WHERE organization_id = ANY ($1)
UNION ALL
SELECT 'freeze', organization_id, model, NULL, NULL, NULL, NULL
FROM freezes
WHERE starts_with(model, $2) OR (model = '' AND organization_id = ANY ($1::uuid[] || every_organization()))
"""


@dataclass(frozen=True)
class Standing:
    """Every total and every setting, by organization and by request, budget or sequence."""

    holds: dict[tuple[int, int], tuple[str, int, datetime]]
    accounts: dict[tuple[int, BudgetKey], Account]
    entries: dict[tuple[int, int], int]
    limits: dict[tuple[int, BudgetKey], int | None]
    terms: dict[int, tuple[str, str | None, int | None, int | None]]
    frozen: frozenset[tuple[int | None, str | None]]

    @classmethod
    def of(cls, model: Model) -> Standing:
        """The state of the model."""
        numbered = list(enumerate(model.organizations))
        return cls(
            holds={
                (number, request): (hold.state, hold.held, hold.expire_time)
                for number, organization in numbered
                for request, hold in organization.holds.items()
            },
            accounts={
                (number, key): account
                for number, organization in numbered
                for key, account in organization.accounts.items()
            },
            entries={
                (number, entry.sequence): entry.cost
                for number, organization in numbered
                for entry in organization.entries
            },
            limits={
                (number, key): limit
                for number, organization in numbered
                for key, limit in organization.limits.items()
            },
            terms={
                number: (
                    organization.tier,
                    organization.cost_basis,
                    organization.workflow_limit,
                    organization.monthly_quota,
                )
                for number, organization in numbered
            },
            frozen=model.frozen,
        )


def read_standing(rows: Iterable[asyncpg.Record], wire: Wire) -> Standing:
    """The state from the rows of QUERY."""
    organizations = {id_: number for number, id_ in enumerate(wire.organizations)}
    found = Standing(
        holds={},
        accounts={},
        entries={},
        limits={},
        # An organization without a row has the default terms.
        terms=dict.fromkeys(range(len(wire.organizations)), ("default", None, None, None)),
        frozen=frozenset(),
    )
    frozen = set()
    for kind, organization_id, name, id_, word, figures, time in rows:
        number = organizations.get(organization_id, NOBODY)
        match kind:
            case "hold":
                request = wire.request(name)
                wire.learn("hold", HoldName(number, request), id_)
                found.holds[number, request] = (word, figures[0], time)
            case "account":
                found.accounts[number, wire.budget(name)] = Account(*figures)
            case "entry":
                wire.learn("entry", EntryName(number, int(name)), id_)
                found.entries[number, int(name)] = figures[0]
            case "limit":
                found.limits[number, wire.budget(name)] = figures[0]
            case "terms":
                found.terms[number] = (wire.own(name), word, *figures)
            case "freeze":
                frozen.add((None if number == NOBODY else number, wire.own(name) or None))
    return replace(found, frozen=frozenset(frozen))
