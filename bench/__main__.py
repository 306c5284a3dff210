"""Measures the governor's speed, as ratios to simpler programs on the same machine in the same run.

It starts PostgreSQL with durable settings, a governor and a gRPC echo server, and runs each load in turn, for
several rounds. The default measures take three minutes. `--only P6,P7` first loads five million ledger
entries, which takes three minutes more and needs 10 GB in the directory for temporary files.
"""

from __future__ import annotations

import argparse
import json
import sys

import grpc
import uvloop
from rich.console import Console

from bench.load_ledger import ENTRIES
from bench.measures import MEASURES
from bench.report import as_json, show
from bench.rig import running_rig
from bench.run import Bench, Options, Results
from governor_service.settings import GovernorSettings
from service_chassis.processes.child_process import ProcessEndedError

_BY_DEFAULT = ("P1", "P2", "P3", "P4", "P5", "P9")
_OF_A_RUNNING_GOVERNOR = ("P1", "P2", "P4", "P5", "P9")
_GOVERNOR_SETTINGS = ("database_pool_size", "batch_")
"""Prefixes of the names of the settings that affect speed."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--only", type=_measures, help=f"such as P1,P2 (default: {','.join(_BY_DEFAULT)})")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=4, help="of each load in each round (default: %(default)s)"
    )
    parser.add_argument(
        "--entries",
        type=int,
        default=ENTRIES,
        help="of the ledger that P6 and P7 load (default: %(default)s)",
    )
    parser.add_argument(
        "--governor",
        metavar="HOST:PORT",
        help="measure a governor that is already running; not for P3, P6 and P7",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes of the governor that this command starts (default: %(default)s)",
    )
    arguments = parser.parse_args()
    possible = _OF_A_RUNNING_GOVERNOR if arguments.governor else tuple(MEASURES)
    measures = arguments.only or tuple(name for name in _BY_DEFAULT if name in possible)
    if impossible := [name for name in measures if name not in possible]:
        parser.error(f"cannot measure {', '.join(impossible)} of a governor that is already running")
    options = Options(
        measures=measures,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        entries=arguments.entries,
        governor=arguments.governor,
    )
    try:
        results = uvloop.run(_run(options, workers=arguments.workers, as_json_document=arguments.json))
    except grpc.aio.AioRpcError as error:
        return _failed(f"the governor answers {error.code().name}: {error.details()}")
    except ProcessEndedError as error:
        return _failed(str(error))
    return 1 if results.failures else 0


def _measures(text: str) -> tuple[str, ...]:
    names = tuple(text.upper().split(","))
    if unknown := [name for name in names if name not in MEASURES]:
        raise argparse.ArgumentTypeError(f"not among {', '.join(MEASURES)}: {', '.join(unknown)}")
    return names


def _failed(message: str) -> int:
    print(f"bench: {message}", file=sys.stderr)
    return 1


async def _run(options: Options, *, workers: int, as_json_document: bool) -> Results:
    progress = Console(stderr=True)
    async with running_rig(workers) as rig:
        results = await Bench(rig, options, lambda line: progress.print(line, markup=False)).run()
        postgres_settings = await rig.settings()
    settings: dict[str, object] = {}
    if options.governor is None:
        settings |= {"PostgreSQL's " + name: value for name, value in postgres_settings.items()}
        settings["workers"] = workers
        own = GovernorSettings().model_dump()
        settings |= {
            "GOVERNOR_" + name.upper(): own[name] for name in own if name.startswith(_GOVERNOR_SETTINGS)
        }
    settings |= {"rounds": options.rounds, "seconds": options.seconds}
    document = as_json(options, results, settings)
    if as_json_document:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        # Output to a file or a pipe need not fit a window.
        show(document, Console(width=None if sys.stdout.isatty() else 140))
    return results


if __name__ == "__main__":
    sys.exit(main())
