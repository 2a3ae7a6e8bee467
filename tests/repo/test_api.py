"""Every operation of the REST API is explained, and people find the explanation."""

from pathlib import Path

from ims.app import GROUPS


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
