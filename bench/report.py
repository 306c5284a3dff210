"""Reports the results, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measures import MEASURES
from bench.run import Options, Results
from bench.samples import Sample

_FIGURES: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "pairs_per_second": ("a second", lambda value: f"{value:,.0f}"),
    "p50_seconds": ("p50 ms", lambda value: f"{value * 1000:.1f}"),
    "p99_seconds": ("p99 ms", lambda value: f"{value * 1000:.1f}"),
    "server_cpu_us": ("server µs", lambda value: f"{value:,.0f}"),
    "postgres_cpu_us": ("PostgreSQL µs", lambda value: f"{value:,.0f}"),
    "client_cpu_us": ("client µs", lambda value: f"{value:,.0f}"),
    "calls_per_transaction": ("calls a commit", lambda value: f"{value:.1f}"),
}


def as_json(options: Options, results: Results, settings: Mapping[str, object]) -> dict[str, Any]:
    """Ratios and figures are medians of the rounds; null if not measured."""
    return {
        "measures": {
            name: {
                "what": measure.what,
                "value": (value := measure.of(results.rounds)),
                "unit": measure.unit,
                "is_ceiling": measure.is_ceiling,
                "at_least": measure.at_least,
                "hoped_for": measure.hoped_for,
                "reaches_at_least": value is not None and measure.reaches(value, measure.at_least),
                "reaches_hoped_for": value is not None and measure.reaches(value, measure.hoped_for),
            }
            for name, measure in MEASURES.items()
            if name in options.measures
        },
        "loads": _loads(results),
        "failures": results.failures,
        "settings": dict(settings),
    }


def show(document: Mapping[str, Any], console: Console) -> None:
    """Prints the document of `as_json` as tables."""
    ratios = Table(title="What is to be reached (medians of the rounds)", title_justify="left")
    ratios.add_column("")
    ratios.add_column("measure")
    for heading in ("measured", "at least", "hoped for"):
        ratios.add_column(heading, justify="right")
    ratios.add_column("")
    for name, measure in document["measures"].items():
        value, unit = measure["value"], f" {measure['unit']}" if measure["unit"] else ""
        bound = "≤ " if measure["is_ceiling"] else ""
        ratios.add_row(
            name,
            measure["what"],
            "—" if value is None else f"{value:.2f}{unit}",
            *(f"{bound}{measure[key]:g}{unit}" for key in ("at_least", "hoped_for")),
            _verdict(measure),
        )
    console.print(ratios)

    loads = Table(
        title="Loads (medians; p50 and p99 of a pair's calls together; µs of processor time for each pair)",
        title_justify="left",
    )
    loads.add_column("load")
    for heading, _ in _FIGURES.values():
        loads.add_column(heading, justify="right")
    for name, figures in document["loads"].items():
        loads.add_row(
            name,
            *(
                "—" if figures[key] is None else written(figures[key])
                for key, (_, written) in _FIGURES.items()
            ),
        )
    console.print(loads)
    for name, failure in document["failures"].items():
        console.print(f"{name} was left out: {failure}", markup=False)
    console.print(", ".join(f"{name} {value}" for name, value in document["settings"].items()), markup=False)


def _loads(results: Results) -> dict[str, dict[str, float | None]]:
    samples: dict[str, list[Sample]] = {}
    for each in results.rounds:
        for name, sample in each.items():
            samples.setdefault(name, []).append(sample)
    return {
        name: {figure: _median_of(taken, figure) for figure in _FIGURES} for name, taken in samples.items()
    }


def _median_of(samples: list[Sample], figure: str) -> float | None:
    known = [value for sample in samples if (value := getattr(sample, figure)) is not None]
    return median(known) if known else None


def _verdict(measure: Mapping[str, Any]) -> str:
    if measure["value"] is None:
        return "not measured"
    if measure["reaches_hoped_for"]:
        return "as hoped"
    return "reached" if measure["reaches_at_least"] else "[bold]missed[/bold]"
