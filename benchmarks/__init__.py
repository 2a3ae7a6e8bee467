"""Measurements against the targets of docs/performance.md, each a ratio of two things measured in one run.

`make bench` runs every `bench_*.py` and writes its table into docs/performance.md. To run one only:
`.venv/bin/python -m benchmarks.bench_ingest`, with `--quick` for a shorter run and `--write` to keep the table.
"""
