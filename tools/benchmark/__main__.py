"""The command behind `tools/bench`."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.benchmark import deidentify, footprint, page, query, receive, render, retrieve, visit
from tools.benchmark.bench import Bench
from tools.benchmark.figures import Row, table
from tools.benchmark.machine import facts

MEASUREMENTS: dict[str, Callable[[Bench], list[Row]]] = {
    "receive": receive.measure,
    "retrieve": retrieve.measure,
    "render": render.measure,
    "deidentify": deidentify.measure,
    "query": query.measure,
    "footprint": footprint.measure,
    "page": page.measure,
    "visit": visit.measure,
}


def main() -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args()
    # What started this may end it: everything started here ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return measure(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def measure(options: argparse.Namespace) -> int:
    """Measure, print the table, keep the results; exit status 1 when a target is missed."""
    machine = facts()
    bench = Bench(
        folder=options.folder.resolve(),
        runs=options.runs,
        images=options.images,
        pdu=options.pdu,
    )
    rows: list[Row] = []
    try:
        for name in options.only or MEASUREMENTS:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows += MEASUREMENTS[name](bench)
    finally:
        bench.tidy()
    results = {"machine": machine, "runs": bench.runs, "pdu": bench.pdu, "images": bench.images}
    results["rows"] = [row.record() for row in rows]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(results, indent=1) + "\n")
    print(table(rows))
    print(f"\n{_circumstances(bench, machine)}")
    return 1 if any(row.met is False for row in rows) else 0


def _circumstances(bench: Bench, machine: Mapping[str, str | int]) -> str:
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "dcmtk", "orthanc"))
    return (
        f"Median (smallest to largest) of {bench.runs} interleaved runs; maximum PDU {bench.pdu} "
        f"bytes, TCP_NODELAY for all. {machine['processors']} × {machine['processor']}, load "
        f"{machine['load at the start']} at the start, {machine['file system']}, {versions}, "
        f"commit {machine['commit']}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures the box beside storescp, Orthanc, movescu, dcmj2pnm and findscu, "
        "and says which targets are met.",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=MEASUREMENTS,
        help="measure this (may be repeated; default: all)",
    )
    parser.add_argument("--runs", type=int, default=5, help="of each (default: 5)")
    parser.add_argument("--images", type=int, default=500, help="of the CT (default: 500)")
    parser.add_argument(
        "--pdu", type=int, default=16384, help="maximum PDU of all receivers (default: 16384)"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("build/bench.json"),
        help="where the results are kept (default: build/bench.json)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("build/bench"),
        help="where to work: on the kind of disk that is to be measured (default: build/bench)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
