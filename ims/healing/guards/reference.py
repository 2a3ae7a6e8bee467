"""Prints the reference of the guards, docs/reference/guards.md, from the guards themselves."""

import sys
from typing import Final

from ims.healing.guards import GUARDS

_HEAD: Final = """# Guards
Before a rule starts its playbook, IMS evaluates every guard. Each answers `pass`, `deny` or `wait`, or `skip` when it
does not apply because no rule matches or the alert names no service. The first guard that denies or waits, in the order
of this page, determines the outcome; the answers of all guards are stored, see
[Reading a decision](../how-to/decisions.md). This page is generated: `python -m ims.healing.guards.reference`.

"""
_TAIL: Final = """
"The incident needs attention" means that IMS marks the incident with the reason and writes *Automation gave up* to its
timeline. [How IMS heals](../how-it-heals.md) explains how a run proceeds.
"""


def reference() -> str:
    rows = ["| Guard | Rule | Reason | Meaning | Consequence |", "|---|---|---|---|---|"]
    for guard in GUARDS:
        for place, reason in enumerate(guard.reasons):
            about = (f"`{guard.name}`", guard.sentence) if place == 0 else ("", "")
            rows.append("| " + " | ".join([*about, f"`{reason.name}`", reason.meaning, reason.consequence]) + " |")
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


if __name__ == "__main__":
    sys.stdout.write(reference())
