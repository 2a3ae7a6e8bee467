"""Retired words stay out: the glossary is the one of Prometheus, Alertmanager and PagerDuty."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

RETIRED: Final = {
    "notice (of a sender)": (r"(?<!to )(?<!would )(?<!can )(?<!may )\b_?notices?\b|\bNotices?\b", "notification"),
    "rejected alert": (r"rejected[-_ ]alert|RejectedAlert", "dead letter"),
    "well (of a service)": (r"\bis_well\b|\bnot well\b|verified[-_ ]well", "healthy, unhealthy, verification passed"),
    "asker": (r"\baskers?\b", "principal"),
    "told": (
        r"(?<![A-Za-z])[Tt]old(?![A-Za-z])(?!_apart)|\btelling\b",
        "notified, rendered or reported, as the case may be",
    ),
    "nobody is told": (r"nobody is (told|called)|people are called", "IMS notifies nobody; escalated"),
    "Given / Shown (models)": (r"\w+Shown\b|\bclass (Given|Shown)\b|\w+Given\b", "Request, Response"),
    "documents (modules)": (r"ims[./]api[./]v1[./]documents", "schemas"),
    "effort (of a search)": (r"\beffort\b", "search cost"),
    "figures (of the overview)": (r"\bread_figures\b|\bFigures\b(?=[:(])|reference/figures", "statistics"),
    "condition (of a service)": (r"ServiceCondition|read_conditions", "status"),
    "chore": (r"\bchores?\b", "periodic task"),
    "spare, premises": (r"\bspares?\b|SPARE_|\bpremises\b|\bPremises\b", "warm runner, run context"),
    "witness, doubt": (r"\b[Ww]itness(es)?\b|\bDoubt\b|\bdoubt\b", "Alertmanager instance, uncertain"),
    "repair (of alerts)": (r"\brepair_\w+|IMS_REPAIR|\bsource_repair", "reconciliation"),
    "silent (source)": (r"\bsilent_\w+|IMS_SILENT|SourceSilent|\bsilent source", "stale"),
    "beat": (r"\bbeats?\b", "heartbeat"),
    "story (of a run)": (r"\b[Ss]tory\b|\bstory_\w+", "log, timeline"),
}
"""The retired word: how it is recognised, and what is written instead."""

# What renames them, lists them or quotes them.
EXEMPT: Final = re.compile(
    r"(ims/core/db/migrations/versions/00\d\d_|ims/core/db/edited\.py|tests/support/earlier\.py|CHANGELOG\.md|docs/upgrading\.md|LICENSE|uv\.lock|findings/|tests/repo/test_words\.py"
    r"|tests/integration/db/test_\w+_migration|tests/acceptance/test_upgrade)"
)


def _files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and not EXEMPT.match(name)]


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_stays_out(word: str) -> None:
    pattern, instead = RETIRED[word]
    found = []
    for path in _files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError):
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(lines, 1)
            if re.search(pattern, line)
        ]
    assert not found, f"write {instead}:\n" + "\n".join(found)
