"""Marking values from outside, checked with the decoder that Ansible itself uses for extra variables."""

import json
from typing import Any

import pytest
from ansible._internal._datatag._tags import TrustedAsTemplate
from ansible._internal._json._profiles import _legacy
from hypothesis import given
from hypothesis import strategies as st

from ims.runs.unsafe import MAX_DEPTH, MAX_TEXT, MAX_VALUES, UNSAFE_KEY, clean_text, mark_unsafe

TEMPLATE = "{{ lookup('pipe', 'id') }}"

texts = st.text(st.characters(codec=None, categories=None)) | st.sampled_from([TEMPLATE, "\ud800", "\x1b[K", "\x00"])
keys = texts | st.sampled_from(["__ansible_unsafe", "__ansible_vault", "__ansible_type", "_ansible_x", TEMPLATE])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
trees = st.recursive(scalars, lambda below: st.lists(below) | st.dictionaries(keys, below), max_leaves=20)


def read_as_ansible_does(marked: object) -> Any:
    """Read extra variables as Ansible reads the file; raises where Ansible would fall back to YAML."""
    text = TrustedAsTemplate().tag(json.dumps({"alert": marked}, allow_nan=False))
    return json.loads(text, cls=_legacy.Decoder)["alert"]


def trusted_texts(tree: Any) -> list[str]:
    """Return every string, key or value, that Ansible would evaluate."""
    if isinstance(tree, dict):
        return [text for item in tree.items() for part in item for text in trusted_texts(part)]
    if isinstance(tree, list):
        return [text for part in tree for text in trusted_texts(part)]
    return [tree] if isinstance(tree, str) and TrustedAsTemplate.is_tagged_on(tree) else []


def test_an_unmarked_string_would_be_trusted() -> None:
    assert trusted_texts(read_as_ansible_does({"a": TEMPLATE})) == [TEMPLATE]


@given(trees)
def test_ansible_reads_every_tree_and_trusts_no_string_of_it(tree: Any) -> None:
    assert trusted_texts(read_as_ansible_does(mark_unsafe(tree))) == []


@given(trees)
def test_no_string_is_left_outside_a_mark(tree: Any) -> None:
    def check(marked: Any) -> None:
        if isinstance(marked, dict):
            if UNSAFE_KEY in marked:
                assert list(marked) == [UNSAFE_KEY]
                assert isinstance(marked[UNSAFE_KEY], str)
                return
            for value in marked.values():
                check(value)
        elif isinstance(marked, list):
            for value in marked:
                check(value)
        else:
            assert not isinstance(marked, str)

    check(mark_unsafe(tree))


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | printable,
    lambda below: (
        st.lists(below)
        | st.dictionaries(printable.filter(lambda key: not key.lstrip("_").startswith("ansible")), below)
    ),
    max_leaves=20,
)


@given(plain)
def test_ordinary_values_arrive_unchanged(tree: Any) -> None:
    assert read_as_ansible_does(mark_unsafe(tree)) == tree


def test_a_key_of_ansible_becomes_an_ordinary_key() -> None:
    marked = mark_unsafe({"__ansible_unsafe": TEMPLATE, "__ansible_vault": "x", "refused:__ansible_vault": "y"})
    assert read_as_ansible_does(marked) == {
        "refused:__ansible_unsafe": TEMPLATE,
        "refused:__ansible_vault": "x",
        "refused:__ansible_vault'": "y",
    }


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00", "\x1b[K", "\x9b"])
def test_what_would_break_the_file_or_the_event_stream_is_replaced(text: str) -> None:
    assert all(character not in clean_text(text) for character in "\ud800\udfff\x00\x1b\x9b")
    assert "\ufffd" in clean_text(text)


def test_tabs_and_line_ends_stay() -> None:
    assert clean_text("a\tb\r\nc") == "a\tb\r\nc"


def test_long_texts_are_cut_with_a_note() -> None:
    marked = mark_unsafe("x" * (MAX_TEXT + 7))
    assert isinstance(marked, dict)
    assert marked[UNSAFE_KEY].endswith("[cut: 7 more characters]")


def test_deep_nesting_is_cut_with_a_note() -> None:
    tree: Any = TEMPLATE
    for _ in range(100_000):
        tree = [tree]
    found = read_as_ansible_does(mark_unsafe(tree))
    depth = 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert depth == MAX_DEPTH
    assert found.startswith("[cut: nested deeper")


@pytest.mark.parametrize("tree", [["x"] * (MAX_VALUES * 2), {str(number): "x" for number in range(MAX_VALUES * 2)}])
def test_too_many_values_are_cut_with_a_note(tree: Any) -> None:
    found = read_as_ansible_does(mark_unsafe(tree))
    assert len(found) == MAX_VALUES + 1
    assert "[cut: more than" in str(found[-1] if isinstance(found, list) else found["[cut]"])


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), float("-inf"), 1 << 20_000], ids=["nan", "inf", "-inf", "huge"]
)
def test_numbers_that_are_no_json_become_text(number: float) -> None:
    assert isinstance(read_as_ansible_does(mark_unsafe(number)), str)
