"""The command line that every benchmark has."""

import argparse
import sys
from collections.abc import Callable, Collection

from benchmarks import report
from benchmarks.programs import BenchmarkFailed, stop_on_sigterm


def run_benchmark(name: str, description: str, measure: Callable[..., str], parts: Collection[str] = ()) -> int:
    """Measure, print the tables, and with `--write` put them into docs/performance.md.

    `measure` gets whether `--quick` was given.

    `parts` are names of what can be measured alone: those that were chosen are given to `measure` as `only`.

    Returns 0 if everything could be measured, whatever the results, and 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.bench_{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a short run, to check that the benchmark works")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    if parts:
        parser.add_argument(
            "--only", action="append", metavar="NAME", help="only parts whose names begin with NAME; repeatable"
        )
    arguments = parser.parse_args()
    only = [part for part in parts if part.startswith(tuple(arguments.only))] if parts and arguments.only else []
    if parts and arguments.only and not only:
        parser.error(f"--only: no part begins so; there are: {', '.join(parts)}")
    if only and arguments.write:
        parser.error("--write is for all parts: a table of some would replace the whole one")
    stop_on_sigterm()
    try:
        tables = measure(arguments.quick, **({"only": only} if only else {}))
        print(tables)
        if arguments.write:
            report.write(name, tables)
    except BenchmarkFailed as failure:
        print(f"bench_{name}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
