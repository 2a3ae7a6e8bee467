"""Values of Grafana's alerts: a text in older versions, a map in newer ones."""

from typing import Any

import pytest
from hypothesis import given

from ims.alerts.notifications import VALUE_LENGTH, AlertNotification
from ims.alerts.parsers.grafana import read_grafana
from tests.support.notifications import NOW, SOURCE, alertmanager_alert
from tests.unit.alerts.test_notifications import json_values


def annotations(**keys: Any) -> dict[str, str]:
    read = read_grafana({**alertmanager_alert(), **keys}, SOURCE, NOW)
    assert isinstance(read, AlertNotification)
    return dict(read.annotations)


def test_values_are_shown_where_there_is_no_text_of_them() -> None:
    assert annotations(values={"A": 93.5, "B": 1, "C": 1.0, "D": 1e300})["valueString"] == "A=93.5, B=1, C=1, D=1e+300"


def test_the_text_of_an_older_version_is_kept() -> None:
    text = "[ var='A' value=93.5 ]"
    assert annotations(values={"A": 93.5}, valueString=text)["valueString"] == text
    assert annotations(values={"A": 93.5}, valueString="")["valueString"] == "A=93.5"


@pytest.mark.parametrize("values", [None, {}, [], "A=1", {"A": None}, {"A": True}, {"A": {"deep": 1}}])
def test_without_values_there_is_no_annotation(values: Any) -> None:
    assert "valueString" not in annotations(values=values)


def test_an_annotation_of_the_rule_itself_comes_first() -> None:
    assert annotations(values={"A": 1}, annotations={"valueString": "ours"})["valueString"] == "ours"


def test_values_are_cleaned_and_cut() -> None:
    text = annotations(values={f"A\x00{number}": "x" * 1000 for number in range(1000)})["valueString"]
    assert len(text) == VALUE_LENGTH
    assert text.startswith("A\ufffd0=xxx")


@given(json_values)
def test_no_values_break_it(values: Any) -> None:
    annotations(values=values)
