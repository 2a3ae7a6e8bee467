"""The command line that every benchmark has."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import report
from benchmarks.programs import BenchmarkFailed, stop_on_sigterm


def run_benchmark(name: str, description: str, measure: Callable[[bool], str]) -> int:
    """Measure, print the tables, and put them into docs/performance.md when asked; `measure` takes whether to be quick.

    Returns 0 when everything could be measured, whatever the figures, and 1 when not.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.bench_{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    stop_on_sigterm()
    try:
        tables = measure(arguments.quick)
        print(tables)
        if arguments.write:
            report.write(name, tables)
    except BenchmarkFailed as failure:
        print(f"bench_{name}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
