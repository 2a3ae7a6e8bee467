"""Timeline events in sentences."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from ims.core.actors import ActorKind
from ims.healing.guards import GUARDS, phrase_of
from ims.incidents.models import EventKind, TimelineEvent
from ims.incidents.sentences import _SENTENCES, REASONS, Tone, sentence_of


def event(kind: str, actor_kind: ActorKind = ActorKind.SYSTEM, actor: str = "ims", **data: Any) -> TimelineEvent:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return TimelineEvent(incident_id=uuid4(), seq=1, at=now, kind=kind, actor_kind=actor_kind, actor=actor, data=data)


def test_every_kind_has_a_sentence_and_needs_no_data_for_it() -> None:
    assert set(_SENTENCES) == set(EventKind)
    for kind in EventKind:
        assert sentence_of(event(kind)).text


def test_reasons_of_earlier_versions_have_their_phrases() -> None:
    reasons = {reason.name for guard in GUARDS for reason in guard.reasons} - {"under_way"}
    assert set(REASONS) == reasons - {"platform_managed"} | {"self"}


def test_a_denial_shows_the_phrase_of_its_guard() -> None:
    data = {"rule": "restart", "reason": "platform_managed", "words": phrase_of("platform_managed")}
    sentence = sentence_of(event(EventKind.RULE_DENIED, ActorKind.RULE, "restart", **data))
    assert sentence.text == "Rule restart denied a run: its platform restarts this service"


def test_a_kind_of_a_later_version_is_shown_by_its_name() -> None:
    assert sentence_of(event("moon_landed")).text == "Moon landed"


def test_a_run_is_linked_to_its_log() -> None:
    sentence = sentence_of(event(EventKind.RUN_STARTED, ActorKind.RUN, "R-7", number=7, playbook="p.yml", target="web"))
    assert (sentence.run, sentence.text) == ("R-7", "Run R-7 started: p.yml on web")


def test_a_failed_run_names_its_task_and_its_reason() -> None:
    sentence = sentence_of(
        event(EventKind.RUN_FINISHED, ActorKind.RUN, "R-7", number=7, outcome="timed_out", failed_task="Restart",
              reason="It took longer than 120 s.")
    )  # fmt: skip
    assert sentence.text == "Run R-7 timed out in task “Restart”"
    assert (sentence.tone, sentence.detail) == (Tone.ALERT, "It took longer than 120 s.")


def test_a_denial_says_why() -> None:
    sentence = sentence_of(event(EventKind.RULE_DENIED, ActorKind.RULE, "restart", rule="restart", reason="self"))
    assert sentence.text == "Rule restart denied a run: its platform restarts this service"


def test_an_edit_says_what_changed_but_does_not_repeat_a_description() -> None:
    changes = {"severity": {"from": "low", "to": "high"}, "description": {"from": "a", "to": "b"}}
    sentence = sentence_of(event(EventKind.EDITED, ActorKind.PERSON, "bob", changes=changes))
    assert sentence.text == "bob changed severity from low to high, the description"


@pytest.mark.parametrize("changes", [None, 3, "x", {"title": None}, []])
def test_odd_data_never_breaks_a_page(changes: object) -> None:
    assert sentence_of(event(EventKind.EDITED, ActorKind.PERSON, "bob", changes=changes)).text
