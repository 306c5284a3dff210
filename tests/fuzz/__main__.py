"""`make fuzz`: sends hostile requests to a pair of its own; exit status 1 if a fault was found."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.acceptance.served_pair import served_pair
from tests.fuzz.campaign import GOVERNOR, WORKFLOW, Campaign, asking_for_health, resident_bytes

HEALTH_SECONDS_MAX = 0.5
GROWTH_BYTES_MAX = 300 * 1024 * 1024
"""How much a process's memory may grow from the first tenth of the campaign to its end."""


async def campaign(
    targets: dict[str, str], pids: dict[str, int], *, count: int, seconds: float, seed: int
) -> int:
    """Prints the report and returns the exit status."""
    runner = Campaign(targets, seed=seed)
    async with asking_for_health(set(targets.values())) as idle:
        await asyncio.sleep(2)
    async with asking_for_health(set(targets.values())) as waited:
        await runner.run(count=count // 10, seconds=seconds / 10)
        warm = {name: resident_bytes(pid)[0] for name, pid in pids.items()}
        report = await runner.run(count=count, seconds=seconds)
    wrong = [f"{what}\n    {example}" for what, example in report.faults.items()]
    print(f"seed {seed}: {report.calls} calls in {report.seconds:.0f} s")
    for outcome, times in report.answers.most_common():
        print(f"  {times:8} {outcome}")
    for target, health in waited.items():
        longest = health["longest_seconds"]
        print(
            f"health of {target}: {health['checks']} checks, {longest * 1000:.0f} ms at the longest "
            f"(idle: {idle[target]['longest_seconds'] * 1000:.0f} ms)"
        )
        wrong += [f"health failed: {failure}" for failure in health["failures"]]
        if longest > HEALTH_SECONDS_MAX:
            wrong.append(f"health of {target} took {longest:.2f} s")
    for name, pid in pids.items():
        now, peak = resident_bytes(pid)
        print(
            f"{name}: {warm[name] >> 20} MiB after a tenth, {now >> 20} MiB at the end, "
            f"{peak >> 20} MiB at its peak"
        )
        if now - warm[name] > GROWTH_BYTES_MAX:
            wrong.append(f"{name} has grown by {(now - warm[name]) >> 20} MiB")
    print(*wrong or ["nothing is wrong"], sep="\n")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=60_000, help="how many requests at most")
    parser.add_argument("--seconds", type=float, default=180, help="how long at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="infin8-fuzz-") as directory:
        Path(directory).chmod(0o755)
        with served_pair(Path(directory) / "data") as pair:
            targets = dict.fromkeys(GOVERNOR, pair.governor) | dict.fromkeys(WORKFLOW, pair.workflow)
            pids = {
                "governor": pair.pid_of("governor_service "),
                "workflow": pair.pid_of("workflow_service "),
            }
            return asyncio.run(
                campaign(
                    targets,
                    pids,
                    count=arguments.count,
                    seconds=arguments.seconds,
                    seed=arguments.seed,
                )
            )


if __name__ == "__main__":
    sys.exit(main())
