"""Prints the account of a run on stdout, as tables for people or as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from google.protobuf import json_format
from google.protobuf.message import Message
from rich import box
from rich.console import Console
from rich.table import Table

from infin8.governor.v1 import budget_pb2, entry_pb2
from infin8.workflow.v1 import errors_pb2, invocations_pb2, steps_pb2, workflow_pb2
from pair.account import Account
from pair.lifecycle import Pair
from pair.money import usd

_WIDTH_WHEN_PIPED = 160

_REVIEW = "the seed review was answered by this command: it approves every keyword, in a person's place"


class _Enum(Protocol):
    """The methods of generated enums that are used here."""

    def keys(self) -> list[str]: ...
    def Name(self, number: Any) -> str: ...  # noqa: N802 - protobuf's name


def print_tables(account: Account, pair: Pair) -> None:
    """In colour on a terminal. Otherwise without colour, and each row on one line."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WHEN_PIPED, color_system=None)
    workflow = account.workflow
    console.print(
        f"[bold]{workflow.display_name}[/bold]: workflow {workflow.workflow_id} "
        f"of organization {workflow.organization_id}",
        highlight=False,
    )
    console.print(f"Model calls were answered by {pair.model_provider}.", highlight=False)
    console.print(f"Prices: {_price_list_age(account)}.", highlight=False)
    console.print(f"Note: {_REVIEW}.", highlight=False)
    _print_transitions(console, account)
    _print_model_calls(console, account)
    _print_ledger(console, account)
    _print_budgets(console, account)
    _print_articles(console, account)
    _print_checks(console, account)
    state = _name(workflow_pb2.WorkflowState, workflow.state)
    console.print(f"The workflow is {state}.", highlight=False)


def _price_list_age(account: Account) -> str:
    """The list that the price book was last filled from or compared with, and how long ago."""
    if not account.prices.HasField("list_check_time"):
        return "never compared with a price list"
    checked = account.prices.list_check_time.ToDatetime(UTC)
    days = max(0, (datetime.now(UTC) - checked).days)
    return f"{account.prices.list_source}, as of {days} {'day' if days == 1 else 'days'} ago"


def _print_transitions(console: Console, account: Account) -> None:
    state = workflow_pb2.WorkflowState
    _print(
        console,
        "Transitions",
        ["version", "from", "to", "why", ">cost so far, USD"],
        (
            [
                str(transition.version),
                _name(state, transition.from_state),
                _name(state, transition.to_state),
                transition.reason,
                usd(transition.total_ai_cost_nano_usd),
            ]
            for transition in account.transitions
        ),
    )


def _print_model_calls(console: Console, account: Account) -> None:
    _print(
        console,
        "Model calls",
        ["step", "model", "state", ">input tokens", ">output tokens", ">held, USD", ">settled, USD", "error"],
        (
            [
                _name(steps_pb2.Step, call.step),
                call.served_model or call.model,
                _name(invocations_pb2.InvocationState, call.state),
                str(call.usage.input_tokens),
                str(call.usage.output_tokens),
                usd(call.held_nano_usd),
                usd(call.cost_nano_usd) if call.HasField("cost_nano_usd") else "",
                _name(errors_pb2.ErrorClass, call.error_class),
            ]
            for call in account.invocations
        ),
    )


def _print_ledger(console: Console, account: Account) -> None:
    _print(
        console,
        "Ledger",
        [">sequence", "kind", "model", ">held, USD", ">cost, USD", "flags", "entry"],
        (
            [
                str(entry.sequence),
                _name(entry_pb2.EntryKind, entry.kind),
                entry.served_model,
                usd(entry.held_nano_usd),
                usd(entry.cost_nano_usd),
                " ".join(_name(entry_pb2.EntryFlag, flag) for flag in entry.flags),
                entry.entry_id,
            ]
            for entry in account.entries
        ),
        last=["", "sum", "", "", usd(account.entries_sum_nano_usd), "", f"{len(account.entries)} entries"],
    )


def _print_budgets(console: Console, account: Account) -> None:
    _print(
        console,
        "Budgets, USD",
        ["scope", ">limit", ">spent", ">held", ">available"],
        (
            [
                _name(budget_pb2.BudgetScope, budget.scope),
                usd(budget.limit_nano_usd) if budget.HasField("limit_nano_usd") else "none",
                usd(budget.spent_nano_usd),
                usd(budget.held_nano_usd),
                usd(budget.available_nano_usd),
            ]
            for budget in (account.workflow_budget, account.organization_budget)
        ),
    )


def _print_articles(console: Console, account: Account) -> None:
    console.print("\n[bold]Articles[/bold]\n")
    for article in account.articles:
        # People copy the path, so it is neither wrapped nor read as markup.
        console.print(
            f"{article.title}\n    {article.location}", soft_wrap=True, highlight=False, markup=False
        )


def _print_checks(console: Console, account: Account) -> None:
    _print(
        console,
        "Checks, to the nano-dollar",
        ["", ">expected, USD", ">found, USD", ""],
        (
            [
                check.what,
                usd(check.expected_nano_usd),
                usd(check.actual_nano_usd),
                "ok" if check.holds else "NO",
            ]
            for check in account.checks
        ),
    )


def print_json(account: Account, pair: Pair) -> None:
    """In protobuf's JSON: amounts are strings of nano-USD, as protobuf writes an int64."""
    document = {
        "model_provider": pair.model_provider,
        "price_list": {
            "source": account.prices.list_source,
            "check_time": account.prices.list_check_time.ToJsonString()
            if account.prices.HasField("list_check_time")
            else None,
        },
        "note": _REVIEW,
        "workflow": _json(account.workflow),
        "transitions": _json_list(account.transitions),
        "invocations": _json_list(account.invocations),
        "entries": _json_list(account.entries),
        "entries_sum_nano_usd": str(account.entries_sum_nano_usd),
        "workflow_cost": _json(account.cost),
        "budgets": _json_list([account.workflow_budget, account.organization_budget]),
        "articles": _json_list(account.articles),
        "checks": [
            {
                "what": check.what,
                "expected_nano_usd": str(check.expected_nano_usd),
                "actual_nano_usd": str(check.actual_nano_usd),
                "holds": check.holds,
            }
            for check in account.checks
        ],
    }
    print(json.dumps(document, ensure_ascii=False, indent=2))


def _print(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    last: Sequence[str] | None = None,
) -> None:
    """A column whose name begins with > is right-aligned."""
    console.print(f"\n[bold]{title}[/bold]\n", highlight=False)
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII, show_edge=console.is_terminal)
    for column in columns:
        table.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    if last is not None:
        table.add_row(*last, style="bold")
    console.print(table)


def _name(enum: _Enum, number: int) -> str:
    """A value's name without the enum's prefix; "" for the unspecified value."""
    names = enum.keys()
    prefix = names[0].removesuffix("UNSPECIFIED")
    return enum.Name(number).removeprefix(prefix) if number else ""


def _json(message: Message) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _json_list(messages: Sequence[Message]) -> list[Any]:
    return [_json(message) for message in messages]
