"""Every operation of the REST API is explained, and people find the explanation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from ims.programs.web import GROUPS


def test_every_operation_is_explained() -> None:
    for group in GROUPS:
        assert group.about
        for operation in group.operations:
            assert operation.summary, operation.name
            assert operation.description, operation.name
            assert operation.body is None or operation.example is not None, operation.name
            assert all(
                hasattr(kind, "__metadata__") and kind.__metadata__[0].examples
                for kind in operation.parameters.values()
            ), operation.name


def test_the_reference_is_linked_from_the_pages() -> None:
    base = Path(__file__).parents[2] / "ims/web/templates/base.html"
    assert "documentation.index" in base.read_text()


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from _models(field.annotation)
    for part in get_args(kind):
        yield from _models(part)


def test_no_two_models_share_a_name() -> None:
    """In the OpenAPI document one would take the other's place."""
    kinds = [kind for group in GROUPS for operation in group.operations for kind in (operation.body, operation.answers)]
    found = {model for kind in kinds for model in _models(kind)}
    assert len({model.__name__ for model in found}) == len(found)
