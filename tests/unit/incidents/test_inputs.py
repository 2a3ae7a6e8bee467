"""What people may write into an incident."""

import pytest

from ims.core.errors import Invalid
from ims.core.validation import read
from ims.incidents.inputs import Editable, NewIncident, Note
from ims.incidents.models import Status
from ims.incidents.usecases import StepNotAllowed, allowed_steps


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        read(NewIncident, {"title": " ", "severity": "dreadful", "team": "a\nb"})
    assert {wrong.field for wrong in refused.value.fields} == {"title", "severity", "team"}


@pytest.mark.parametrize("text", ["a\0b", "a\x1b[31mb", "a\u202eb", "x" * 20_001, "  "])
def test_a_note_without_text_or_with_control_characters_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read(Note, {"text": text})


def test_line_breaks_of_browsers_become_ordinary_ones() -> None:
    assert read(Note, {"text": "a\r\nb\tc "}).text == "a\nb\tc"


def test_a_title_is_one_line() -> None:
    with pytest.raises(Invalid):
        read(Editable, {"title": "a\nb", "severity": "low"})


def test_nothing_leaves_resolved() -> None:
    assert allowed_steps(Status.RESOLVED) == []
    assert allowed_steps(Status.OPEN) == [Status.ACKNOWLEDGED, Status.RESOLVED]
    assert allowed_steps(Status.ACKNOWLEDGED) == [Status.IN_PROGRESS, Status.RESOLVED]
    assert allowed_steps(Status.IN_PROGRESS) == [Status.RESOLVED]


def test_a_refused_step_names_the_ones_that_are_allowed() -> None:
    error = StepNotAllowed(Status.OPEN, Status.IN_PROGRESS)
    assert error.members == {"incident_status": "open", "allowed": ["acknowledged", "resolved"]}
    assert "acknowledged or resolved" in error.message
