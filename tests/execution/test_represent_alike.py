"""Objects represented by generated code, beside the same represented one by one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from router.execution.representations import HOT_AFTER_RUNS, Representations
from router.execution.type_facts import FieldShape, TypeFacts
from router.operation.model import OperationKind
from router.planner.plan import Fetch, RequiresField, RequiresFragment, ValueSetter

FACTS = TypeFacts(
    fields={
        name: {
            "upc": FieldShape("ID", non_null=name == "Product"),
            "sku": FieldShape("ID", non_null=False),
            "weight": FieldShape("Int", non_null=False),
        }
        for name in ("Product", "Book")
    },
    supertypes={
        "Product": frozenset({"Product", "Node"}),
        "Book": frozenset({"Book", "Node"}),
        "Node": frozenset({"Node"}),
    },
    keys={("Product", "stock"): (("upc",),), ("Book", "stock"): (("upc",), ("sku",))},
    objects=frozenset({"Product", "Book"}),
)


def required(condition: str, *names: str) -> RequiresFragment:
    return RequiresFragment(condition, tuple(RequiresField(name, name) for name in names))


def fetch(*requires: RequiresFragment, renamed: bool = False) -> Fetch:
    rewrites = (ValueSetter(("__typename",), "Node"),) if renamed else ()
    return Fetch(0, "stock", OperationKind.QUERY, "", requires=requires, input_rewrites=rewrites)


FETCHES = (
    fetch(required("Product", "upc")),
    fetch(required("Product", "upc", "weight")),
    fetch(required("Book", "upc", "sku", "weight")),
    fetch(required("Product", "upc"), required("Book", "upc", "weight")),
    fetch(required("Node", "upc", "weight"), renamed=True),
)
VALUES = st.sampled_from(["1", "2", "", 1, 2, 0, 1.0, True, False, None, [], {}, "é", '"'])
OBJECTS = st.fixed_dictionaries(
    {}, optional={"__typename": st.sampled_from(["Product", "Book", "Node", "Stranger", "", None, 7]),
                  "upc": VALUES, "sku": VALUES, "weight": VALUES, "other": VALUES}
)  # fmt: skip


def asked(representations: Representations, found: list[dict[str, Any]], failed: set[int]) -> Any:
    answer = representations.of_all(found, failed)
    places = {id(it): number for number, it in enumerate(found)}
    return repr(answer.representations), [[places[id(it)] for it in group] for group in answer.groups]


@given(
    which=st.sampled_from(FETCHES),
    typename=st.sampled_from(["Product", "Book"]),
    found=st.lists(OBJECTS, min_size=1, max_size=6),
    all_failed=st.booleans(),
)
@example(FETCHES[0], "Product", [{"upc": 1}, {"upc": True}, {"upc": 1.0}, {"upc": "1"}], False)
@example(FETCHES[1], "Product", [{"upc": "1", "weight": None}] * 2, False)
@example(FETCHES[2], "Book", [{"upc": None, "sku": None, "weight": 1}], False)
@example(FETCHES[1], "Product", [{"upc": "1"}], True)
def test_generated_code_represents_objects_as_they_are_represented_one_by_one(
    which: Fetch, typename: str, found: list[dict[str, Any]], all_failed: bool
) -> None:
    hot = Representations(which, FACTS)
    usual = [{"__typename": typename, "upc": "1", "sku": "2", "weight": 3}]
    for _ in range(HOT_AFTER_RUNS + 1):
        hot.of_all(usual, ())
    failed = {id(it) for it in found} if all_failed else set()
    before = deepcopy(found)
    assert asked(hot, found, failed) == asked(Representations(which, FACTS), found, failed)
    assert found == before


def test_what_is_hot_and_alike_is_represented_by_generated_code() -> None:
    hot = Representations(FETCHES[1], FACTS)
    found = [
        {"__typename": "Product", "upc": "1", "weight": 3},
        {"upc": "1", "weight": 3},
        {"upc": "2", "weight": 3},
    ]
    for _ in range(HOT_AFTER_RUNS):
        expected = asked(hot, found, set())
    generated = hot._alike
    assert generated is not None
    assert generated(found) is not None
    assert asked(hot, found, set()) == expected
    assert [len(group) for group in hot.of_all(found, ()).groups] == [2, 1]
