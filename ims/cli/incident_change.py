"""`ims incident …`, what changes something: open, ack, start, resolve, set, note.

Whoever may run the command on this machine may do everything: it reads the programs' own password. Each change is made
in the name of the system account that types it, and stands in the audit log.
"""

import argparse
import sys

from ims.api.v1.schemas.incidents import show
from ims.cli.local import add_json, local_context
from ims.cli.terminal import print_json
from ims.core.errors import FieldError, Invalid
from ims.core.validation import read
from ims.incidents import usecases
from ims.incidents.edits import editable
from ims.incidents.inputs import SEVERITIES, Closing, Editable, NewIncident, Note
from ims.incidents.models import Incident, Status
from ims.incidents.queries import find_incident

_FROM_STANDARD_INPUT = "-"


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands below `ims incident`."""
    opening = commands.add_parser("open", help="a new incident, by hand")
    opening.add_argument("title", metavar="TITLE", help="what is wrong, in a few words")
    opening.add_argument("--severity", choices=list(SEVERITIES), default="medium", help="default medium")
    for name in ("service", "environment", "team", "assignee"):
        opening.add_argument(f"--{name}", default="", help=f"its {name}")
    opening.add_argument("--description", default="", help="Markdown; - reads it from standard input")
    add_json(opening)
    opening.set_defaults(run=_open)
    _register_steps(commands)
    setting = commands.add_parser("set", help="change what is given; an empty text takes it away")
    add_reference(setting)
    for name in Editable.model_fields:
        choices = {"choices": list(SEVERITIES)} if name == "severity" else {}
        setting.add_argument(f"--{name}", help=f"another {name}", **choices)  # type: ignore[arg-type]
    add_json(setting)
    setting.set_defaults(run=_set)
    noting = commands.add_parser("note", help="write a note into the timeline")
    add_reference(noting)
    noting.add_argument("text", metavar="TEXT", help="Markdown; - reads it from standard input")
    add_json(noting)
    noting.set_defaults(run=_note)


def _register_steps(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    steps = (
        ("ack", Status.ACKNOWLEDGED, "say that you are looking"),
        ("start", Status.IN_PROGRESS, "say that you are working on it"),
        ("resolve", Status.RESOLVED, "close an incident"),
    )
    for name, status, words in steps:
        stepping = commands.add_parser(name, help=words)
        add_reference(stepping)
        if status is Status.RESOLVED:
            stepping.add_argument("--note", default="", help="what was done; stands in the timeline")
        add_json(stepping)
        stepping.set_defaults(run=_step, status=status)


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names an incident."""
    parser.add_argument("name", metavar="INCIDENT", help="INC-42, 42 or the incident's id")


def _open(arguments: argparse.Namespace) -> int:
    given = {name: getattr(arguments, name) for name in NewIncident.model_fields}
    new = read(NewIncident, {**given, "description": _text(arguments.description)})
    with local_context() as context:
        incident = usecases.open_incident(context, new).incident
    return _tell(arguments, incident, "opened")


def _step(arguments: argparse.Namespace) -> int:
    status = Status(arguments.status)
    note = read(Closing, {"text": getattr(arguments, "note", "")}).text
    with local_context() as context:
        incident = usecases.change(context, arguments.name, {}, status=status, note=note)
    return _tell(arguments, incident, status.value.replace("_", " "))


def _set(arguments: argparse.Namespace) -> int:
    fields = {name: given for name in Editable.model_fields if (given := getattr(arguments, name)) is not None}
    if not fields:
        raise Invalid(fields=[FieldError("set", "name something to change, such as --severity high")])
    with local_context() as context:
        present = editable(find_incident(context.session, arguments.name)).model_dump()
        wanted = read(Editable, {**present, **fields})
        changes = {name: str(getattr(wanted, name)) for name in fields}
        incident = usecases.change(context, arguments.name, changes)
    return _tell(arguments, incident, "changed")


def _note(arguments: argparse.Namespace) -> int:
    text = read(Note, {"text": _text(arguments.text)}).text
    with local_context() as context:
        incident = usecases.add_note(context, arguments.name, text)
    return _tell(arguments, incident, "noted")


def _tell(arguments: argparse.Namespace, incident: Incident, done: str) -> int:
    if arguments.json:
        print_json(show(incident).model_dump(mode="json"))
    else:
        print(f"INC-{incident.number} {done}")
    return 0


def _text(given: str) -> str:
    return sys.stdin.read() if given == _FROM_STANDARD_INPUT else given
