"""Alertmanager's payload becomes notifications."""

from typing import Any

import pytest
from hypothesis import given

from ims.alerts.parsers.alertmanager import NotAlertmanager, parse
from ims.alerts.parsers.each import MOST_ALERTS
from ims.core.errors import TooLarge
from tests.support.notifications import NOW, SOURCE, alertmanager_alert, alertmanager_body
from tests.unit.alerts.test_notifications import json_values


def test_a_notification_is_read_with_its_truncation_and_its_receiver() -> None:
    parsed = parse(alertmanager_body(alertmanager_alert(), 7, alertmanager_alert("Other"), truncated=3), SOURCE, NOW)
    assert [one.name for one in parsed.notifications] == ["ServiceDown", "Other"]
    assert parsed.places == (0, 2)
    assert [one.place for one in parsed.rejected] == [1]
    assert (parsed.truncated, parsed.receiver) == (3, "ims")


def test_an_empty_notification_has_no_alerts() -> None:
    assert parse({"alerts": []}, SOURCE, NOW).notifications == ()


def test_millions_of_invalid_alerts_are_not_read_one_by_one() -> None:
    with pytest.raises(TooLarge):
        parse({"alerts": [0] * (MOST_ALERTS + 1)}, SOURCE, NOW)


@pytest.mark.parametrize("cut", [None, -1, "12", True, 1.5, [], {}])
def test_an_invalid_truncation_count_is_ignored(cut: Any) -> None:
    assert parse({"alerts": [], "truncatedAlerts": cut, "receiver": cut}, SOURCE, NOW).truncated == 0


@given(json_values)
def test_any_json_is_read_or_refused_as_a_whole(body: Any) -> None:
    if isinstance(body, dict) and isinstance(body.get("alerts"), list):
        parsed = parse(body, SOURCE, NOW)
        assert len(parsed.notifications) + len(parsed.rejected) == len(body["alerts"])
    else:
        with pytest.raises(NotAlertmanager):
            parse(body, SOURCE, NOW)


@given(json_values)
def test_any_json_may_stand_in_the_list(said: Any) -> None:
    parsed = parse({"alerts": [said, alertmanager_alert()]}, SOURCE, NOW)
    assert len(parsed.notifications) + len(parsed.rejected) == 2
    assert parsed.notifications[-1].name == "ServiceDown"
