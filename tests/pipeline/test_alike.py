"""Texts that differ in their literals share a plan; each is answered by its own literals."""

from __future__ import annotations

import pytest

from router.alike import document_alike
from router.config import RouterConfig
from router.errors import ValidationFailed
from router.snapshot import Document, snapshot_of
from router.stages import read_document
from tests.kit_federation.shop import SHOP_SDL

CONFIG = RouterConfig()
GRAPH = snapshot_of(SHOP_SDL, CONFIG)
TEXT = "{{item(sku:{}){{sku name}}}}"


def reader(counted: list[str]):
    graph = snapshot_of(SHOP_SDL, CONFIG)

    def read(text: str) -> Document:
        counted.append(text)
        return read_document(text, None, graph, CONFIG)

    return lambda text: document_alike(text, None, graph, read)


def test_the_third_text_of_a_form_is_not_read_any_more() -> None:
    texts: list[str] = []
    alike = reader(texts)
    assert alike(TEXT.format('"1"')) is None
    second, third = alike(TEXT.format('"2"')), alike(TEXT.format('"3"'))
    assert len(texts) == 1
    assert second is not None
    assert third is not None
    assert (list(second.lifted.values()), list(third.lifted.values())) == (["2"], ["3"])
    assert second.normal.signature == third.normal.signature
    assert alike(TEXT.format("4")) is None, "a number is another form than a text"


def test_what_is_not_valid_is_read_as_it_stands() -> None:
    alike = reader([])
    wrong = "{{item(sku:{}){{nothing}}}}"
    assert [alike(wrong.format(f'"{it}"')) for it in range(5)] == [None] * 5
    with pytest.raises(ValidationFailed):
        read_document(wrong.format(1), None, snapshot_of(SHOP_SDL, RouterConfig()), RouterConfig())


def test_equal_fields_with_equal_literals_stay_mergeable() -> None:
    alike = reader([])
    twice = "{{item(sku:{0}){{sku}} item(sku:{0}){{name}}}}"
    assert [alike(twice.format(f'"{it}"')) for it in range(5)] == [None] * 5
