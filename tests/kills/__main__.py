"""`make kills`: exit status 1 if a workflow did not come to its end, or the books do not agree."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from tests.kills.campaign import Report, campaign


def show(report: Report) -> None:
    books = report.books
    print(f"{report.kills.total()} kills in {report.seconds:.0f} s:")
    for what, times in report.kills.most_common():
        print(f"  {times:6} {what}")
    print(f"{report.begun} workflows begun, {report.completed} COMPLETED")
    print(
        f"{books.calls} calls at the provider; in the journal {books.settled} settled, of these "
        f"{books.unknown} as unknown, and {books.voided} voided"
    )
    print(f"{books.lost} answers reached nobody; {books.paid_anew} items were paid for anew after such calls")
    print(*report.wrong or ["nothing is wrong"], sep="\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many")
    parser.add_argument("--instances", type=int, default=2, help="of the workflow service")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops everything, as Ctrl-C does
    with tempfile.TemporaryDirectory(prefix="infin8-kills-") as directory:
        Path(directory).chmod(0o755)
        report = asyncio.run(
            campaign(
                Path(directory), kills=arguments.kills, instances=arguments.instances, seed=arguments.seed
            )
        )
    show(report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
