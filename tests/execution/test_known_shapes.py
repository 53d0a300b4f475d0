"""What operations select alike is shaped and projected once; each answer is as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest

from router.execution import shape
from router.execution.projection import HOT_AFTER_RUNS, Projection
from router.execution.shape import AnswerSelection, answer_shape
from router.operation.model import AllowedOperation
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import validate
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_edge.supergraphs import supergraph_of

SDL = "type Query { a: A as: [A!] } type A { n: Int! b: B bs: [B] } type B { m: Int! a: A }"
BELOW = "{ n b { m a { n } } bs { m } }"


@pytest.fixture
def supergraph() -> Supergraph:
    """A new one for each test: nothing of it is known."""
    return read_supergraph(supergraph_of(SDL))


def shape_of(supergraph: Supergraph, text: str, **truths: bool) -> AnswerSelection:
    normal = normalize(validate(parse(text), supergraph.api_schema), supergraph)
    return answer_shape(AllowedOperation(normal, normal), supergraph.api_schema, truths)


def below(selection: AnswerSelection, *keys: str) -> AnswerSelection:
    for key in keys:
        found = selection.below(key)[1]
        assert found is not None
        selection = found
    return selection


def tree(n: Any, m: Any) -> dict[str, Any]:
    return {"n": n, "more": 1, "b": {"m": m, "a": {"n": n}}, "bs": [{"m": m}, None]}


def answered(n: Any, m: Any) -> dict[str, Any]:
    return {"n": n, "b": {"m": m, "a": {"n": n}}, "bs": [{"m": m}, None]}


def test_equal_selections_of_different_operations_are_one(supergraph: Supergraph) -> None:
    one = shape_of(supergraph, f"{{ x: a {BELOW} }}")
    other = shape_of(supergraph, f"query Q {{ y: a {BELOW} as {{ n }} }}")
    assert one is not other
    assert below(one, "x") is below(other, "y")
    assert below(one, "x", "b") is not below(one, "x", "bs")


def test_what_depends_on_variables_is_not_shared(supergraph: Supergraph) -> None:
    text = "query ($v: Boolean!) { x: a { n b @include(if: $v) { m } } }"
    kept, left_out = (shape_of(supergraph, text, v=truth) for truth in (True, False))
    assert [kept.below("x")[1].below("b")[0], left_out.below("x")[1].below("b")[0]] == [True, False]  # type: ignore[union-attr]


@pytest.mark.parametrize("shared", [False, True])
def test_answers_stay_the_same_when_the_projection_is_generated(supergraph: Supergraph, shared: bool) -> None:
    for number in range(3 * HOT_AFTER_RUNS):
        key = f"x{number}"
        projection = Projection(shape_of(supergraph, f"{{ {key}: a {BELOW} }}"), shared=shared)
        for run in range(HOT_AFTER_RUNS + 1):
            assert projection.project({key: tree(number, run)}) == {key: answered(number, run)}
            assert not projection.irregular
            broken = projection.project({key: tree(number, None)})
            assert broken == {key: {"n": number, "b": None, "bs": [None, None]}}
            assert len(projection.irregular) == 2, "the nulls of this answer alone"


def test_a_shared_object_is_known_within_one_answer_alone(supergraph: Supergraph) -> None:
    first = Projection(shape_of(supergraph, f"{{ as {BELOW} }}"), shared=True)
    second = Projection(shape_of(supergraph, f"{{ x: as {BELOW} }}"), shared=True)
    same = tree(1, 2)
    for n in range(2 * HOT_AFTER_RUNS):
        same["b"]["m"] = n
        expected = {**answered(1, 2), "b": {"m": n, "a": {"n": 1}}}
        for projection, key in ((first, "as"), (second, "x")):
            data = projection.project({key: [same, same]})
            assert data == {key: [expected, expected]}


def test_shapes_that_are_kept_have_an_end(supergraph: Supergraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "KNOWN_MAX", 2)
    for number in range(6):
        found = shape_of(supergraph, f"{{ x: a {{ n{number}: n b {{ m{number}: m }} }} }}")
        assert below(found, "x", "b").below(f"m{number}")[0]
    assert found.known is not None
    assert len(found.known.selections) <= 2
