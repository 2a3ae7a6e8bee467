"""What a page that keeps itself up to date costs its browser: our live.js and htmx with morphing, in a real Chromium.

    .venv/bin/python -m benchmarks.bench_live [--quick] [--write]

Both show the same list and the same form and ask for them each second. The npm package of htmx is installed into a
temporary folder; nothing of it is part of the product.
"""

import gzip
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import machine, report
from benchmarks.command import run_benchmark
from tests.support.browser import Browser
from tests.support.http_server import Quiet, answering

HTMX: Final = "htmx.org@4.0.1"
ROWS: Final = 200
SECONDS: Final = 10
STATIC: Final = Path(__file__).parents[1] / "ims" / "web" / "static"

_OURS = '<script type="module" src="/live.js"></script>'
_THEIRS = '<script src="/htmx.js"></script>'
_POLLS = 'hx-get="/htmx" hx-trigger="every 1s" hx-select="#{0}" hx-swap="outerMorph"'


@dataclass
class Site:
    """One page in two variants. `version` is what its first row shows."""

    scripts: dict[str, bytes]
    version: int = 0
    sent: dict[str, int] = field(default_factory=dict)

    def page(self, variant: str) -> str:
        polls = _POLLS.format if variant == "/htmx" else lambda _name: ""
        script = _THEIRS if variant == "/htmx" else _OURS
        rows = "".join(
            f'<tr id="r{n}" data-key="{n}" data-version="{self.version if n == 0 else 0}"><td>INC-{n}</td>'
            f"<td>checkout answers with errors</td><td>{self.version if n == 0 else 'open'}</td></tr>"
            for n in range(ROWS)
        )
        return (
            f"<!doctype html><html><head><title>Incidents</title>{script}</head><body>"
            '<span id="connection" hidden></span><span id="lost" hidden></span>'
            f'<form id="form" data-region="form" {polls("form")}><input id="note"><input id="other">'
            '<details id="more"><summary>more</summary><p>more</p></details></form>'
            f'<table id="list" data-region="list" {polls("list")}><tbody data-keyed>{rows}</tbody></table>'
            "</body></html>"
        )


@contextmanager
def served(site: Site) -> Iterator[str]:
    """The site on a port of its own."""

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            is_script = self.path in site.scripts
            body = site.scripts[self.path] if is_script else site.page(self.path).encode()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            is_known = tag == self.headers.get("If-None-Match")
            self.send_response(304 if is_known else 200)
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
            self.send_header("Content-Length", "0" if is_known else str(len(body)))
            self.end_headers()
            if not is_known:
                self.wfile.write(body)
                site.sent[self.path] = site.sent.get(self.path, 0) + len(body)

    with answering(Handler) as url:
        yield url


def busy_milliseconds(browser: Browser) -> float:
    """How long the page's main thread has worked until now."""
    metrics = browser.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def measure(browser: Browser, site: Site, *, changes: bool) -> float:
    """Milliseconds of the main thread a second."""
    before = busy_milliseconds(browser)
    for _ in range(SECONDS):
        site.version += changes
        time.sleep(1)
    return (busy_milliseconds(browser) - before) / SECONDS


def compare(quick: bool) -> str:
    """Both in turns, and the tables."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", HTMX], cwd=folder, check=True)
        theirs = (Path(folder) / "node_modules/htmx.org/dist/htmx.min.js").read_bytes()
    scripts = {"/live.js": (STATIC / "live.js").read_bytes(), "/htmx.js": theirs}
    site = Site(scripts)
    variants = {"/live": "live.js", "/htmx": HTMX}
    still: dict[str, list[float]] = {variant: [] for variant in variants}
    moving: dict[str, list[float]] = {variant: [] for variant in variants}
    kept = {}
    with served(site) as address, Browser() as browser:
        browser.send("Performance.enable")
        for variant in [*variants] * (1 if quick else 3):
            browser.open(address + variant)
            browser.evaluate("note.value = 'typed'; more.open = true; other.focus(); 1")
            time.sleep(3)
            still[variant].append(measure(browser, site, changes=False))
            moving[variant].append(measure(browser, site, changes=True))
            kept[variant] = browser.evaluate(
                "[note.value === 'typed' && 'text', more.open && 'details'].filter(Boolean)"
            )
    rows = [
        (
            name,
            f"{len(script) / 1000:.1f} / {len(gzip.compress(script)) / 1000:.1f}",
            f"{statistics.median(still[variant]):.1f}",
            f"{statistics.median(moving[variant]):.1f}",
            ", ".join(kept[variant]) or "nothing",
        )
        for (variant, name), script in zip(variants.items(), scripts.values(), strict=True)
    ]
    head = ("script", "kB, plain / compressed", "ms a second at rest", "with a change each second", "kept of a form")
    ratio = statistics.median(still["/live"]) / statistics.median(still["/htmx"])
    verdict = report.Verdict("work at rest, against htmx", ratio, 1.0, least=False)
    tables = [report.table(head, rows), report.table(report.VERDICT_HEAD, [verdict.cells()])]
    return "\n\n".join([f"{machine.describe()}. A list of {ROWS} rows and a form.", *tables])


if __name__ == "__main__":
    sys.exit(run_benchmark("live", "A page that keeps itself up to date, against htmx.", compare))
