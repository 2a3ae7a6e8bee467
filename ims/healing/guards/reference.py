"""Prints the reference of the guards, docs/reference/guards.md, from the guards themselves."""

import sys
from typing import Final

from ims.healing.guards import GUARDS

_HEAD: Final = """# Guards
Before a rule starts its playbook, every guard is asked. Each answers `pass`, `deny` or `wait`, or `skip` where it has
nothing to judge, since no rule matches or the alert names no service. The first that denies or waits, in the order of
this page, is the outcome; what the others said is kept all the same, see [Reading a decision](../how-to/decisions.md).
This page is made from the code: `python -m ims.healing.guards.reference`.

"""
_TAIL: Final = """
"Needs attention" means the line *automation gave up* in the timeline, and the incident's mark that people have to look,
with the reason. How a run goes on is in [How IMS heals](../how-it-heals.md).
"""


def reference() -> str:
    """The whole page."""
    rows = ["| guard | what it sees to | reason | what it means | what follows |", "|---|---|---|---|---|"]
    for guard in GUARDS:
        for place, reason in enumerate(guard.reasons):
            about = (f"`{guard.name}`", guard.sentence) if place == 0 else ("", "")
            rows.append("| " + " | ".join([*about, f"`{reason.name}`", reason.meaning, reason.consequence]) + " |")
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


if __name__ == "__main__":
    sys.stdout.write(reference())
