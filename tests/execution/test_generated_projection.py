"""Generated projections answer what interpreted ones do, for every tree."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.execution.generate import generate_projection
from router.execution.projection import HOT_AFTER_RUNS, Projection
from router.execution.shape import answer_shape
from router.operation.model import AllowedOperation, Denial, NormalField
from tests.kit_federation.shop import SHOP, normal_of

QUERY = """{
    items { __typename sku name weight left state maker { name city } makers { name } parent { left }
            place { shelf } fee }
    things { __typename kind: __typename id ... on Tool { x: weight } ... on Toy { x: age label } }
    must { sku }
    medium { id rank }
}"""

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**33), 2**33),
    st.floats(allow_nan=False),
    st.sampled_from(["", "FULL", "LOST", "Tool", "Toy", "Secret", "Medium", "Film", "x"]),
)
KEYS = (
    "items things must medium sku name weight left state maker makers city parent place shelf fee id x "
    "label rank"
)


def trees(depth: int = 4) -> st.SearchStrategy[Any]:
    """Values of any shape under the keys that the query selects, more often than not plausible ones."""
    if depth == 0:
        return leaves
    below = trees(depth - 1)
    typenames = st.sampled_from(["Tool", "Toy", "Item", "Film", "Medium", "Secret", "Made", None])
    objects = st.fixed_dictionaries(
        {}, optional={"__typename": typenames, **dict.fromkeys(KEYS.split()[4:], below)}
    )
    return st.one_of(leaves, objects, objects, st.lists(below, max_size=3))


def compare(allowed: AllowedOperation, root: Any) -> None:
    shape = answer_shape(allowed, SHOP.api_schema, {})
    interpreted = Projection(shape)
    expected = interpreted.project(root)
    irregular: list[None] = []
    generated = generate_projection(shape, irregular)(root)
    assert repr(generated) == repr(expected)
    assert bool(irregular) == bool(interpreted.irregular)


NORMAL = normal_of(QUERY)


@settings(max_examples=80, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS.split()[:4], trees())))
def test_any_tree_is_answered_alike(root: dict[str, Any]) -> None:
    compare(AllowedOperation(NORMAL, NORMAL), root)


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS.split()[:4], trees())))
def test_denied_fields_are_answered_alike(root: dict[str, Any]) -> None:
    kept = tuple(it for it in NORMAL.selections if isinstance(it, NormalField) and it.name != "medium")
    rest = {name: getattr(NORMAL, name) for name in NORMAL.__dataclass_fields__}
    denial = Denial(("medium",), "Query.medium", "FORBIDDEN_FIELD", {})
    compare(AllowedOperation(type(NORMAL)(**{**rest, "selections": kept}), NORMAL, (denial,)), root)


def test_a_hot_projection_goes_on_answering() -> None:
    projection = Projection(answer_shape(AllowedOperation(NORMAL, NORMAL), SHOP.api_schema, {}))
    root = {"items": [{"sku": "a", "left": 1}], "things": [{"__typename": "Toy", "id": "1", "label": "L"}]}
    root["must"] = {"sku": "m"}  # type: ignore[assignment]
    answers = [projection.project(root) for _ in range(HOT_AFTER_RUNS + 2)]
    assert all(it == answers[0] for it in answers)
    assert answers[0] is not None
    assert answers[0]["things"] == [{"__typename": "Toy", "kind": "Toy", "id": "1", "x": None, "label": "L"}]
