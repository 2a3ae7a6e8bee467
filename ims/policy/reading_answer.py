"""What a reading of a policy found, and where in the policy: positions and messages as Ansible knows them.

Part of `reading_child`: of IMS it imports nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError

try:  # Private API: without it everything works, but faults have no position.
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None

Place = tuple[str, int | None, int | None]

DEEPEST = 64
"""Maximum depth of nested values: a YAML alias may contain itself."""


def place_of(value: object) -> Place | None:
    """The position of a value (or of a dictionary's key), if Ansible kept it. An error may have the origin itself."""
    if Origin is None or value is None:
        return None
    origin = value if isinstance(value, Origin) else Origin.get_tag(value)
    if origin is None or not origin.path:
        return None
    return (origin.path, origin.line_num, origin.col_num)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def place_of_error(error: BaseException) -> Place | None:
    """The innermost position that an error or its causes have."""
    places = [place_of(getattr(link, "obj", None)) for link in chain_of(error)]
    return next((place for place in reversed(places) if place), None)


def innermost_message(error: BaseException) -> str:
    """Ansible's message about the innermost cause."""
    messages = [str(link) for link in chain_of(error) if isinstance(link, AnsibleError)]
    message = " ".join(messages[-1].split()) if messages else type(error).__name__
    # Replace Ansible's internal types by plain names: "<class '…_AnsibleTaggedList'>" becomes "list".
    message = re.sub(
        r"\W?<class '(?:\w+\.)*_?(?:AnsibleTagged)?(\w+)'>\W?", lambda kind: f" {kind[1].lower()} ", message
    )
    return " ".join(message.split())


def finding(place: Place | None, field: str, message: str, file: str) -> dict[str, Any]:
    """A fault or a warning as the parent reads it."""
    path, line, column = place or (file, None, None)
    return {"file": path, "line": line, "column": column, "field": field, "message": message}


class Answer:
    """The result of the reading, in the form in which it is sent to the parent."""

    def __init__(self) -> None:
        self.faults: list[dict[str, Any]] = []
        self.warnings: list[dict[str, Any]] = []
        self.places: dict[str, Place] = {}
        self.settings: dict[str, Any] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.names: dict[str, list[str]] = {}
        self.overridden: list[str] = []
        self.unrendered: list[str] = []
        self.hosts: list[str] = []
        self.groups: dict[str, list[str]] = {}
        self.playbooks: dict[str, dict[str, Any]] = {}

    def fault(self, place: Place | None, field: str, message: str, file: str = "") -> None:
        """Add a fault; `file` is used if there is no place."""
        self.faults.append(finding(place, field, message, file))

    def warn(self, place: Place | None, field: str, message: str, file: str = "") -> None:
        """Add a warning, which does not make the policy faulty."""
        self.warnings.append(finding(place, field, message, file))

    def note_places(self, path: str, value: object, key: object = None, depth: int = 0) -> None:
        """Store the positions of a value and of everything inside it, by dotted path.

        Inside a structure the key's position is preferred, because a boolean has none. At the top level the value's
        position is preferred, because a variable's key may come from a file that another file overrides.
        """
        places = (place_of(value), place_of(key))
        place = next((p for p in (places if depth == 0 else places[::-1]) if p), None)
        if place:
            self.places[path] = place
        if depth == DEEPEST:
            return
        if isinstance(value, Mapping):
            for inner_key, inner in value.items():
                self.note_places(f"{path}.{inner_key}", inner, inner_key, depth + 1)
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                self.note_places(f"{path}.{index}", inner, None, depth + 1)
