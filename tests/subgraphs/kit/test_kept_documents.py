"""What a subgraph keeps of documents, and what it tells of selections that decline."""

import logging
from typing import Any

import pytest
from graphql import parse

from deploy.declines import count_declines, declined_count
from subgraphs.kit.documents import DOCUMENT_CHARACTERS_CACHED_MAX, may_be_kept
from tests.kit_subgraphs.gallery import Frame, Plain, gallery
from tests.subgraphs.kit.test_projection_differential import CALLER


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("{ a }", True),
        ('{ a(b: "x", c: 3) }', True),
        ("mutation ($p: String!) { a(b: $p) }", True),
        ("mutation { a(b: true, c: null, d: WORD) }", True),
        ('mutation { a(b: "secret") }', False),
        ('mutation { a(b: """secret""") }', False),
        ("mutation { a(b: 7) }", False),
        ("mutation { a(b: [{ c: { d: 7.5 } }]) }", False),
        ('mutation ($p: String = "secret") { a(b: $p) }', False),
        ('mutation { a { ...f } } fragment f on A { b(c: "secret") }', False),
        ('query A { a } mutation B { a(b: "secret") }', False),
    ],
)
def test_a_mutations_literals_are_not_remembered(text: str, kept: bool) -> None:
    assert may_be_kept(text, parse(text)) is kept


def test_texts_that_are_long_or_not_valid_and_may_hold_a_secret_are_not_remembered() -> None:
    long = "{ a }" + " " * DOCUMENT_CHARACTERS_CACHED_MAX
    assert not may_be_kept(long, parse(long))
    assert not may_be_kept('mutation { login(password: "secret"', None)
    assert may_be_kept("{ nothing", None)


async def test_a_subgraph_keeps_no_text_with_a_mutations_secret(library: Any) -> None:
    subgraph = library.subgraph
    for text in ('mutation { add(title: "s3cret") { id } }', 'mutation { nowhere(a: "s3cret") }'):
        await subgraph.execute(text, {}, None, CALLER)
    await subgraph.execute("{ books { id } }", {}, None, CALLER)
    assert "s3cret" not in repr(subgraph._documents)
    assert list(subgraph._documents) == ["{ books { id } }"]


def frames(width: Any) -> dict[str, Any]:
    class Holder:
        frame = Frame(name="oak", width=width)

    return {f"p{number}": Holder() for number in range(3)}


async def test_a_fault_in_a_selection_is_counted_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subgraph, _ = gallery(Plain, frames(1.5))
    count_declines([subgraph])
    before = dict(declined_count.values)
    query = "{ frames { name ... on Frame { width } } }"
    for _ in range(2):
        assert "errors" not in await subgraph.execute(query, {}, None, CALLER)
    assert not subgraph.declines.counted

    def broken(*_: Any) -> Any:
        raise RuntimeError("the value of a field")

    selections = subgraph._prepare(query).selections
    assert selections is not None
    for projection in selections._projections.values():
        assert projection is not None
        monkeypatch.setattr(projection.read, "function", broken)
        monkeypatch.setattr(projection.read_all, "function", broken)
    with caplog.at_level(logging.WARNING, logger="stadion.subgraphs"):
        for _ in range(2):
            answer = await subgraph.execute(query, {}, None, CALLER)
            assert answer == {"data": {"frames": [{"name": "oak", "width": 1.5}] * 3}}
    assert subgraph.declines.counted == {("Frame", "RuntimeError"): 6}
    key = ("gallery", "Frame", "RuntimeError")
    assert declined_count.values[key] - before.get(key, 0) == 6
    [record] = caplog.records
    assert record.getMessage() == (
        "the compiled selection of `Frame` in subgraph `gallery` raised RuntimeError while it read `name`,"
        " `width`; such objects are executed field by field"
    )


async def test_an_odd_value_is_counted_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    subgraph, _ = gallery(Plain, frames(float("nan")))
    query = "{ frames { ... on Frame { width } } }"
    for _ in range(2):
        assert len((await subgraph.execute(query, {}, None, CALLER))["errors"]) == 1
    assert [type_ for type_, _ in subgraph.declines.counted] == ["Frame"]
    assert not [each for each in caplog.records if "compiled selection" in each.getMessage()]
