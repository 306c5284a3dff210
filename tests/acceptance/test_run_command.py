"""`make run` shows one workflow and its costs, while a pair serves the same data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal

from tests.acceptance.served_pair import REPOSITORY, ServedPair, pair_environment

_SECONDS = 100
_PYTHON = (sys.executable, "-m", "pair", "run")


def _run(
    pair: ServedPair, *command: str, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**pair_environment(pair.data_dir), **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def test_make_run_shows_what_happened(pair: ServedPair) -> None:
    """It exits with 0 and shows states, calls, ledger, budgets and articles as plain text in a pipe."""
    done = _run(pair, "make", "-o", ".venv/.installed", "run")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert "\x1b" not in shown
    assert "Model calls were answered by the local simulator." in shown
    assert "OPENROUTER_API_KEY is not set" in done.stderr
    assert "The workflow is COMPLETED." in shown
    for words in ("ICP_PROCESSING", "SubmitSeedReview", "WORKFLOW ", "ORGANIZATION ", " ok"):
        assert words in shown
    section = shown.partition("\nLedger\n")[2].partition("\nBudgets")[0]
    costs = [Decimal(cost) for cost in re.findall(r"\| USAGE +\|[^|]+\|[^|]+\| +(\d+\.\d{9}) \|", section)]
    (total,) = re.findall(r"\| sum +\|[^|]+\|[^|]+\| +(\d+\.\d{9}) \|", section)
    assert len(costs) > 1
    assert sum(costs) == Decimal(total)
    assert len(re.findall(r"^    /.*\.md$", shown, re.MULTILINE)) > 0
    assert pair.process.poll() is None, "the serving pair keeps running"


def test_the_same_as_json(pair: ServedPair) -> None:
    """`--json` prints one document whose sums agree."""
    done = _run(pair, *_PYTHON, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["workflow"]["state"] == "WORKFLOW_STATE_COMPLETED"
    assert all(check["holds"] for check in document["checks"])
    total = sum(int(entry["cost_nano_usd"]) for entry in document["entries"])
    assert total == int(document["entries_sum_nano_usd"]) == int(document["workflow_cost"]["cost_nano_usd"])
    assert len(document["entries"]) == len(document["invocations"])
    assert [budget["scope"] for budget in document["budgets"]] == [
        "BUDGET_SCOPE_WORKFLOW",
        "BUDGET_SCOPE_ORGANIZATION",
    ]
    assert all(article["location"] for article in document["articles"])


def test_a_run_that_stops_is_a_failure(pair: ServedPair) -> None:
    """With a model that has no price the run does not complete; the command says why and exits with 1."""
    done = _run(pair, *_PYTHON, "--json", variables={"WORKFLOW_MODELS": '["nobody/knows-it"]'})
    assert done.returncode == 1
    assert json.loads(done.stdout)["workflow"]["state"] == "WORKFLOW_STATE_ICP_FAILED"
    assert "pair: the workflow stopped: MODEL_NOT_PRICED" in done.stderr
