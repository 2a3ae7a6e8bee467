"""Tables in Markdown, printed, and kept between two markers of docs/performance.md."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.programs import ROOT, BenchmarkFailed

PAGE = ROOT / "docs/performance.md"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A ratio against its target; `least` is whether the target is a lower bound."""

    what: str
    ratio: float
    target: float
    least: bool = True

    @property
    def reached(self) -> bool:
        return self.ratio >= self.target if self.least else self.ratio <= self.target

    def cells(self) -> tuple[str, ...]:
        """As a row of the table of targets."""
        bound = f"{'≥' if self.least else '≤'} {self.target:g}"
        return self.what, f"{self.ratio:.2f}", bound, "reached" if self.reached else "**not reached**"


VERDICT_HEAD = ("target", "ratio", "wanted", "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(name: str, content: str) -> None:
    """Replace what stands between the markers of `name` in docs/performance.md. Raises `BenchmarkFailed`."""
    page = PAGE.read_text(encoding="utf-8")
    between = re.compile(rf"(?s)(<!-- {name}: begin[^\n]*-->\n).*?(<!-- {name}: end -->)")
    if not between.search(page):
        raise BenchmarkFailed(f"docs/performance.md has no markers for {name}.")
    PAGE.write_text(between.sub(lambda found: f"{found[1]}{content}\n{found[2]}", page), encoding="utf-8")
